/** Every state of the page that is worth seeing, by name: `?scene=paused&lang=ko&theme=dark`. */
import { routeLine } from '../../../swarm/planner/route-line.ts'
import type { DonorDefaults } from '../../../swarm/app-config.ts'
import { SwarmError, toPlainError } from '../../../swarm/errors.ts'
import type { PowerConditions } from '../../../web/donor/pause-control.ts'
import type { ReachFindings } from '../../../swarm/reach.ts'
import type { DonorPlan, DonorState, LoadProgress } from '../../../web/donor/state.ts'
import type { AnswerEntry, Chat, Entry } from '../../../web/ui/state/chat-types.ts'
import type { View } from '../../../web/ui/state/navigation.ts'
import type { KeptDeletion, KeptListing, LinkNote, SwarmSnapshot } from '../../../web/ui/state/ports.ts'
import type { ScreenLockState } from '../../../web/ui/state/screen-lock.ts'
import { fakeRecord, fakeSnapshot, PEERS, TINYTALES, type FakePromptOptions, type Played } from './fakes.ts'

export interface Scene {
  view: View
  swarm: SwarmSnapshot
  prompts: FakePromptOptions
  chats: { chat: Chat; entries: Entry[] }[]
  /** Sent as soon as the page stands. */
  send?: string
  donor: DonorState
  hasWebGpu?: boolean
  donorDefaults?: DonorDefaults
  update?: boolean
  linkNotes?: readonly LinkNote[]
  /** null: nothing is told, as outside Chromium. */
  power?: PowerConditions | null
  screenLock?: ScreenLockState
  log?: boolean
  kept?: KeptListing
  /** Comes of deleting the first kept model, which is done at once. */
  keptDeletion?: KeptDeletion
  /** What the probe finds; without it the probe does not come to an end. */
  reach?: ReachFindings
  /** A fold to be opened. */
  unfold?: string
}

const RELAY = '/dns4/relay.example/tcp/443/tls/ws/p2p/12D3KooWJ1mQ6mPY2cYd8vJb9bX4q1uQnG2J9rV7sTtRelayNode1'
const FULL = [
  fakeRecord(0, { start: 0, end: 2 }),
  fakeRecord(1, { start: 2, end: 4 }),
  fakeRecord(2, { start: 4, end: 6 }),
  fakeRecord(3, { start: 6, end: 8 }),
]
const HOLE = [
  fakeRecord(0, { start: 0, end: 4 }),
  fakeRecord(1, { start: 2, end: 4 }, 'leaving'),
  fakeRecord(2, { start: 6, end: 8 }, 'online', { next: { start: 4, end: 6 } }),
  fakeRecord(3, { start: 4, end: 6 }, 'joining', { blockStepsPerSecond: 0 }),
]
const ROUTE = FULL.map((record, i) => ({ peerId: record.peerId, span: record.span, direct: i !== 2 }))
const STORY =
  'Once upon a time, there was a quiet girl named **Mina**. She had a green basket and loved to walk by the river.\n\n' +
  '1. She picked three apples.\n2. She gave one to a fox.\n\nThe fox said: `thank you`, and they walked home together.'

/** What is wider than a phone: words without a break, code, a table, a route over many tabs. */
const LONG =
  `${'Rindfleischetikettierungsüberwachungsaufgabenübertragung'.repeat(4)} ${'띄어쓰기없는긴글'.repeat(20)}\n\n` +
  '```ts\nconst answer = await swarm.prompt("a line of code that does not end where the phone ends, and goes on", { seed: 7 })\n```\n\n' +
  '| a column | another column | a third column | and a fourth column | a fifth |\n|---|---|---|---|---|\n| 1 | 2 | 3 | 4 | 5 |'
const LONG_ROUTE = Array.from({ length: 16 }, (_, i) => ({
  peerId: PEERS[i % 4] ?? '',
  span: { start: i * 2, end: i * 2 + 2 },
  direct: i !== 9,
}))

function answer(change: Partial<AnswerEntry>): AnswerEntry {
  return {
    role: 'assistant',
    text: STORY,
    ids: [1, 2, 3],
    status: 'done',
    at: 1,
    model: { repo: TINYTALES.repo, revision: TINYTALES.revision },
    raw: false,
    cut: false,
    route: ROUTE,
    stats: { timeToFirstTokenMs: 412, tokensPerSecond: 17.34, generatedTokens: 87, promptTokens: 26, reusedTokens: 14 },
    lost: [],
    error: null,
    ...change,
  }
}

const chatOf = (id: string, title: string): Chat => ({ id, title, createdAt: 1, updatedAt: 2 })
const user = (text: string): Entry => ({ role: 'user', text, at: 1 })

const CONVERSATION: Scene['chats'] = [
  {
    chat: chatOf('one', 'Tell me a story about a basket.'),
    entries: [
      user('안녕하세요! 저는 바구니에 대한 이야기를 좋아해요.'),
      answer({
        text: '안녕하세요! 무엇을 도와드릴까요?',
        stats: {
          timeToFirstTokenMs: 388,
          tokensPerSecond: 18.02,
          generatedTokens: 14,
          promptTokens: 24,
          reusedTokens: 0,
        },
      }),
      user('Tell me a story about a basket.'),
      answer({}),
    ],
  },
  { chat: chatOf('two', '짧은 이야기를 들려줘.'), entries: [] },
  { chat: chatOf('three', 'Hello!'), entries: [] },
]

const routeEvent: Played = {
  type: 'route',
  hops: ROUTE.map(({ peerId, span }) => ({ peerId, span })),
  direct: ROUTE.map((hop) => hop.direct),
  line: routeLine(ROUTE, () => null),
}
const words = (count: number): Played[] =>
  Array.from({ length: count }, (_, i): Played => ({ type: 'token', index: i, id: i, text: `word${i} ` }))

const PLAN: DonorPlan = {
  repo: TINYTALES.repo,
  revision: TINYTALES.revision,
  blocks: 8,
  span: { start: 2, end: 4 },
  downloadBytes: 1_770_000,
  gpuBytes: 12_400_000,
  cachedBytes: 0,
  weights: 'f32',
  adapter: 'nvidia ampere',
  backend: 'webgpu',
  backendReason: 'gpu',
  mode: 'load-balancing',
  memory: { budgetBytes: 20_000_000, leastBytes: 6_500_000, mostBytes: 36_500_000, stepBytes: 500_000 },
}
const PROGRESS: LoadProgress = {
  phase: 'download',
  doneBytes: 742_000,
  totalBytes: 1_770_000,
  cachedBytes: 0,
  bytesPerSecond: 5_300_000,
  etaSeconds: 2.4,
}

const KEPT: KeptListing = {
  models: [
    {
      repo: 'meta-llama/Llama-3.2-1B-Instruct',
      revision: '9213176726f574b556790deb65791e0c5aa438b6',
      bytes: 1_236_000_000,
      inUse: false,
    },
    { repo: TINYTALES.repo, revision: TINYTALES.revision, bytes: 7_400_000, inUse: true },
  ],
  usedBytes: 1_244_100_000,
  quotaBytes: 61_200_000_000,
  fate: 'may-go',
}

const SERVING: Extract<DonorState, { status: 'serving' }> = {
  status: 'serving',
  plan: PLAN,
  span: PLAN.span,
  throughput: 15.23,
  duty: 'serving',
  pausedBy: null,
  isLoaded: true,
  onlyHere: [3],
  moving: null,
  peerId: PEERS[1] ?? '',
  stats: {
    sessions: 2,
    stepsServed: 1843,
    tokensServed: 2210,
    bytesIn: 3_400_000,
    bytesOut: 3_300_000,
    relayedIn: 1_100_000,
    relayedOut: 900_000,
    bytesFetched: 1_790_000,
    gpuMsPerStep: 4.2,
    startedAt: 0,
  },
}

const base: Scene = {
  view: 'chat',
  swarm: fakeSnapshot(FULL),
  prompts: { play: () => ['stay'] },
  chats: [],
  donor: { status: 'idle' },
}
const donate = (donor: DonorState, extra: Partial<Scene> = {}): Scene => ({ ...base, view: 'donate', donor, ...extra })

export const SCENES: Record<string, Scene> = {
  empty: base,
  chat: { ...base, chats: CONVERSATION },
  streaming: {
    ...base,
    prompts: { play: () => [routeEvent, { type: 'prefill', done: 26, total: 26, reused: 0 }, ...words(31), 'stay'] },
    send: 'Tell me a story about a basket.',
  },
  paused: {
    ...base,
    swarm: fakeSnapshot(HOLE),
    prompts: {
      play: () => [
        routeEvent,
        ...words(12),
        { type: 'lost', peerId: PEERS[2] ?? '', reason: 'closed', afterMs: 430 },
        { type: 'paused', missingBlocks: [4, 5], reason: 'nobody serves blocks 4–5' },
        'stay',
      ],
    },
    send: 'Tell me a story about a basket.',
  },
  interrupted: {
    ...base,
    chats: [
      {
        chat: chatOf('one', 'Hello!'),
        entries: [user('Hello!'), answer({ text: 'Hello! How can I', status: 'streaming', stats: null })],
      },
    ],
  },
  failed: {
    ...base,
    chats: [
      {
        chat: chatOf('one', 'Hello!'),
        entries: [
          user('Hello!'),
          answer({
            text: '',
            route: [],
            stats: null,
            status: 'failed',
            error: toPlainError(
              new SwarmError('HUB_GATED', 'huggingface.co answered 403 for org/gated: access is restricted', {
                action: 'Accept the licence on the hub, then paste your token.',
                details: { page: 'https://huggingface.co/org/gated' },
              }),
            ),
          }),
        ],
      },
    ],
  },
  gated: {
    ...base,
    prompts: {
      play: () => [],
      openError: new SwarmError('HUB_GATED', 'huggingface.co answered 403 for org/gated: access is restricted', {
        action: 'Accept the licence on the hub, then paste your token.',
      }),
    },
  },
  long: {
    ...base,
    chats: [
      {
        chat: chatOf('one', 'Donaudampfschifffahrtsgesellschaftskapitänsmützenabzeichenverleihung'),
        entries: [
          user(`${'Donaudampfschifffahrtsgesellschaft'.repeat(8)}\n${'가나다라마바사'.repeat(20)}`),
          answer({ text: LONG, route: LONG_ROUTE }),
        ],
      },
    ],
  },
  raw: { ...base, prompts: { play: () => ['stay'], hasChatTemplate: false } },
  full: {
    ...base,
    prompts: { play: () => ['stay'], contextTokens: 24 },
    chats: CONVERSATION,
  },
  ask: { ...base, swarm: fakeSnapshot([], { state: 'asking' }) },
  'donate-ready': donate({ status: 'ready', plan: PLAN }),
  'donate-software': donate({
    status: 'ready',
    plan: {
      ...PLAN,
      backend: 'software',
      backendReason: 'asked',
      adapter: 'SwiftShader (google)',
      cachedBytes: 400_000,
    },
  }),
  'donate-loading': donate({ status: 'loading', plan: PLAN, span: PLAN.span, progress: PROGRESS }, { log: true }),
  'donate-serving': donate(SERVING, { log: true }),
  'donate-paused': donate(
    { ...SERVING, duty: 'paused', pausedBy: 'battery', onlyHere: [2, 3], stats: { ...SERVING.stats, sessions: 0 } },
    { power: { onBattery: true, isMetered: false }, screenLock: { status: 'off' } },
  ),
  'donate-finishing': donate(
    { ...SERVING, duty: 'finishing' },
    { power: null, screenLock: { status: 'refused', reason: 'NotAllowedError: the battery is low' } },
  ),
  'donate-metered': donate(
    { status: 'ready', plan: PLAN },
    { power: { onBattery: true, isMetered: true }, screenLock: { status: 'unsupported' } },
  ),
  'donate-relayed': donate(SERVING, {
    reach: {
      relay: {
        outcome: 'reserved',
        address: '/ip4/127.0.0.1/tcp/8080/ws/p2p/12D3KooWJ1mQ6mPY2cYd8vJb9bX4q1uQnG2J9rV7sTtRelayNode1',
      },
      addresses: { outcome: 'none', asked: true },
      dial: { outcome: 'relayed' },
    },
    unfold: '.reach details',
  }),
  'donate-stopped': donate({ status: 'stopped' }, { log: true }),
  'donate-kept': donate(
    { status: 'stopped' },
    {
      kept: { ...KEPT, fate: 'kept' },
      keptDeletion: {
        outcome: 'partly',
        freedBytes: 1_200_000_000,
        leftBytes: 36_000_000,
        reason: 'NoModificationAllowedError: the file is locked',
      },
      unfold: '.kept',
    },
  ),
  'donate-nogpu': donate({ status: 'idle' }, { hasWebGpu: false, donorDefaults: { backend: 'webgpu' } }),
  'donate-wasm': donate(
    {
      status: 'ready',
      plan: { ...PLAN, adapter: 'WebAssembly SIMD, up to 2 threads', backend: 'wasm', backendReason: 'no-webgpu' },
    },
    { hasWebGpu: false },
  ),
  'donate-failed': donate({
    status: 'failed',
    error: toPlainError(
      new SwarmError('HUB_CUT', 'model-00001-of-00002.safetensors broke off at byte 742000 of 1770000'),
    ),
  }),
  notices: {
    ...base,
    chats: CONVERSATION,
    update: true,
    linkNotes: [
      { kind: 'view', name: 'chats' },
      { kind: 'parameter', name: 'num-blocks' },
    ],
    swarm: fakeSnapshot(FULL, { relays: [{ address: RELAY, state: 'restarting', backAfterMs: 20_000 }] }),
  },
  'other-version': {
    ...base,
    swarm: fakeSnapshot([], {
      relays: [{ address: RELAY, state: 'refused', reason: 'version 2.0', trouble: 'version' }],
    }),
  },
  'other-relay': {
    ...base,
    view: 'swarm',
    swarm: fakeSnapshot([], {
      relays: [{ address: RELAY, state: 'lost', reason: 'another relay answers there', trouble: 'other-relay' }],
    }),
  },
  swarm: { ...base, view: 'swarm' },
  'swarm-missing': { ...base, view: 'swarm', swarm: fakeSnapshot(HOLE) },
}
