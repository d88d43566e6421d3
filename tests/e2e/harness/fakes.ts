/**
 * The page's ports without a network: models that count words, sessions that play a list of events, donors that stand
 * still in a given state. For tests of stores and of how each state looks; the product has none of it.
 */
import type { GenerateEvent, GenerateRequest } from '../../../session/types.ts'
import { SwarmError } from '../../../swarm/errors.ts'
import type { PeerRecord, PeerState } from '../../../swarm/peer-record.ts'
import type { ReachFindings } from '../../../swarm/reach.ts'
import type { Span } from '../../../swarm/span.ts'
import type { Donor, DonorLogLine, DonorState } from '../../../web/donor/state.ts'
import type {
  ChatLocks,
  DonorPort,
  KeptDeletion,
  KeptListing,
  KeptPort,
  ModelChoice,
  OpenedModel,
  PromptPort,
  ReachPort,
  SwarmPort,
  SwarmSnapshot,
} from '../../../web/ui/state/ports.ts'

export const PEERS = ['A7xQ2m', 'f0KdR9', 'Wn3eTb', 'u8LpZc'].map(
  (end) => `12D3KooWQ5uYtVbfy3Hn6tXGZ9yV1jz2hLrPqkFvD${end}`,
)

export const TINYTALES: ModelChoice = {
  repo: 'tinytales',
  revision: '0123456789abcdef0123456789abcdef01234567',
  hubUrl: '/hub',
  blocks: 8,
  sizeBytes: 7_400_000,
  description: null,
  source: 'offer',
  embedded: true,
}

export function fakeRecord(
  i: number,
  span: Span,
  state: PeerState = 'online',
  extra: Partial<PeerRecord> = {},
): PeerRecord {
  return {
    v: 1,
    peerId: PEERS[i % PEERS.length] ?? `peer${i}`,
    seq: 1,
    issuedAt: 1,
    ttlMs: 90_000,
    model: { repo: TINYTALES.repo, revision: TINYTALES.revision, digest: 'd'.repeat(32), blocks: 8 },
    state,
    span,
    claimedAt: 1,
    maxBlocks: 8,
    blockStepsPerSecond: 61.4,
    cacheTokensLeft: 6144,
    sessions: i === 0 ? 1 : 0,
    weights: 'f32',
    backend: 'webgpu',
    relays: [],
    ...extra,
  }
}

export function fakeSnapshot(records: readonly PeerRecord[], change: Partial<SwarmSnapshot> = {}): SwarmSnapshot {
  return {
    state: 'joined',
    error: null,
    relays: [
      {
        address: '/ip4/127.0.0.1/tcp/8080/ws/p2p/12D3KooWJ1mQ6mPY2cYd8vJb9bX4q1uQnG2J9rV7sTtRelayNode1',
        state: 'connected',
      },
    ],
    models: [{ repo: TINYTALES.repo, revision: TINYTALES.revision, digest: 'd'.repeat(32), blocks: 8, records }],
    ...change,
  }
}

export class FakeSwarm implements SwarmPort {
  #snapshot: SwarmSnapshot
  readonly #listeners = new Set<() => void>()

  constructor(snapshot: SwarmSnapshot) {
    this.#snapshot = snapshot
  }

  join(): Promise<void> {
    this.set({ ...this.#snapshot, state: 'joined' })
    return Promise.resolve()
  }

  snapshot(): SwarmSnapshot {
    return this.#snapshot
  }

  set(snapshot: SwarmSnapshot): void {
    this.#snapshot = snapshot
    for (const listener of this.#listeners) listener()
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }
}

/** What a fake session plays: events, or `stay`, which waits until the request is cancelled. */
export type Played = GenerateEvent | 'stay'

export interface FakePromptOptions {
  play: (request: GenerateRequest, turn: number) => readonly Played[]
  contextTokens?: number
  hasChatTemplate?: boolean
  hasTokenizer?: boolean
  openError?: SwarmError
}

/** One token a word. */
export class FakePrompts implements PromptPort {
  readonly requests: GenerateRequest[] = []
  readonly ended: string[] = []
  readonly #options: FakePromptOptions
  #opened: Promise<OpenedModel> | null = null

  constructor(options: FakePromptOptions) {
    this.#options = options
  }

  open(model: ModelChoice): Promise<OpenedModel> {
    if (this.#options.openError !== undefined) return Promise.reject(this.#options.openError)
    this.#opened ??= Promise.resolve(this.#make(model))
    return this.#opened
  }

  #make(model: ModelChoice): OpenedModel {
    const { contextTokens = 1024, hasChatTemplate = true, hasTokenizer = true, play } = this.#options
    const { requests, ended } = this
    return {
      ref: { repo: model.repo, revision: model.revision },
      digest: 'd'.repeat(32),
      blocks: 8,
      contextTokens,
      hasTokenizer,
      hasChatTemplate,
      defaults: { temperature: 0.7, topP: 0.95 },
      encode: (messages) =>
        Promise.resolve(messages.flatMap((message) => message.content.split(/\s+/)).map((_, i) => i)),
      decoder: () => (hasTokenizer ? { push: (id) => `w${id} `, flush: () => '' } : null),
      session: () =>
        Promise.resolve({
          async *generate(request: GenerateRequest) {
            requests.push(request)
            for (const event of play(request, requests.length - 1)) {
              if (event === 'stay') await aborted(request.signal)
              else yield event
              if (request.signal.aborted) {
                yield endEvent({ finish: 'cancel' })
                return
              }
            }
          },
        }),
      endSession(chatId) {
        ended.push(chatId)
        return Promise.resolve()
      },
    }
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve()
  return new Promise((resolve) => {
    signal.addEventListener('abort', () => resolve(), { once: true })
  })
}

export function endEvent(change: Partial<Extract<GenerateEvent, { type: 'end' }>> = {}): GenerateEvent {
  return {
    type: 'end',
    finish: 'stop',
    ids: [],
    text: '',
    route: [],
    weights: 'f32',
    backend: 'webgpu',
    timings: {
      timeToFirstTokenMs: 412,
      totalMs: 3000,
      tokensPerSecond: 17.34,
      promptTokens: 26,
      reusedTokens: 14,
      generatedTokens: 87,
      failovers: 0,
    },
    ...change,
  }
}

/** Locks of one page; `taken` holds chats that another tab has. */
export function fakeLocks(taken = new Set<string>()): ChatLocks {
  return {
    take(chatId) {
      if (taken.has(chatId)) return Promise.resolve(null)
      taken.add(chatId)
      return Promise.resolve(() => taken.delete(chatId))
    },
    held: () => Promise.resolve(taken),
  }
}

/** A donor that stands in one state; what is asked of it is counted. */
export class FakeDonor implements Donor {
  readonly calls: string[] = []
  readonly #listeners = new Set<() => void>()
  #state: DonorState
  readonly #log: DonorLogLine[]
  readonly #next: Partial<Record<string, DonorState>>

  constructor(state: DonorState, log: DonorLogLine[] = [], next: Partial<Record<string, DonorState>> = {}) {
    this.#state = state
    this.#log = log
    this.#next = next
  }

  state(): DonorState {
    return this.#state
  }

  log(): readonly DonorLogLine[] {
    return this.#log
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  plan = (): Promise<void> => this.#go('plan')
  start = (): Promise<void> => this.#go('start')
  resize = (memoryBytes: number | null): Promise<void> => this.#go(`resize ${memoryBytes}`)
  stop = (): Promise<void> => this.#go('stop')
  pause = (): void => void this.calls.push('pause')
  resume = (): void => void this.calls.push('resume')
  finish = (): void => void this.calls.push('finish')

  #go(call: string): Promise<void> {
    this.calls.push(call)
    this.#state = this.#next[call] ?? this.#state
    for (const listener of this.#listeners) listener()
    return Promise.resolve()
  }
}

export function fakeDonorPort(donor: Donor, defaults: DonorPort['defaults'] = {}): DonorPort {
  return { defaults, create: () => Promise.resolve(donor) }
}

/** A browser that keeps what it is told to keep; each deletion comes out as `outcome` says. */
export class FakeKept implements KeptPort {
  listing: KeptListing | null
  outcome: KeptDeletion = { outcome: 'deleted', freedBytes: 1 }
  readonly deleted: string[] = []
  readonly #listeners = new Set<() => void>()

  constructor(listing: KeptListing | null) {
    this.listing = listing
  }

  list(): Promise<KeptListing | null> {
    return Promise.resolve(this.listing)
  }

  delete({ repo }: { repo: string }): Promise<KeptDeletion> {
    this.deleted.push(repo)
    return Promise.resolve(this.outcome)
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  changed(): void {
    for (const listener of this.#listeners) listener()
  }
}

/** Finds what it is told to find; null: it never comes to an end. */
export function fakeReach(found: ReachFindings | null): ReachPort {
  return {
    probe: (onFound, signal) =>
      new Promise((resolve, reject) => {
        signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true })
        if (found === null) onFound({})
        else resolve(found)
      }),
  }
}
