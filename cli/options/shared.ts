/** Options that several subcommands share, in groups. The words of the original's command line are kept. */
import { DEFAULT_SPECULATE, MAX_DRAFT_TOKENS, readSpeculate } from '../../session/speculate.ts'
import { AUTOTUNE_MODES, BACKEND_CHOICES } from '../../swarm/backend.ts'
import { RULE_NAMES } from '../../swarm/planner/rule-names.ts'
import { KV_FORMATS, WEIGHT_CHOICES } from '../../swarm/model/config.ts'
import { above, atLeast, between, flag, integer, list, number, text } from './schema.ts'

export const DEFAULT_PORT = 8080
export const EMBEDDED_MODEL = 'tinytales'
export const DEFAULT_HUB_URL = 'https://huggingface.co'

const MODEL = 'Model'
const DONOR = 'Donor tabs'
const BROWSER = 'Browser'
const NETWORK = 'Network'
const ANSWER = 'Answer'

const isPort = between(0, 65_535)
const isSpeculate = (value: string): string | null =>
  readSpeculate(value) === null ? `must be off, auto or 1 to ${MAX_DRAFT_TOKENS}` : null

export const hubOptions = {
  hubUrl: text('where models that are not in a models folder are read', {
    group: MODEL,
    placeholder: 'URL',
    env: ['TABSWARM_HUB_URL', 'HF_ENDPOINT'],
    default: DEFAULT_HUB_URL,
    check: (url) => (/^https?:\/\/[^/]/.test(url) ? null : 'must start with http:// or https://'),
  }),
  revision: text('commit, branch or tag of the model', { group: MODEL, placeholder: 'REV' }),
}

export const modelOptions = {
  model: text('any Llama-architecture repository in safetensors: ORG/NAME, or NAME of a models folder', {
    group: MODEL,
    placeholder: 'NAME',
  }),
  modelsDir: list('folders with models as DIR/NAME/ or DIR/ORG/NAME/, offered beside the embedded one', {
    group: MODEL,
    placeholder: 'DIR',
  }),
  ...hubOptions,
}

export const computeOptions = {
  weights: text('weight format on the GPU; auto is the most exact one that fits', {
    group: DONOR,
    choices: WEIGHT_CHOICES,
    default: 'auto',
  }),
  kv: text(
    'what a GPU keeps of each token: f32, or f16 for twice the tokens in the same memory (default: f32, and f16 where only so it fits)',
    { group: DONOR, choices: KV_FORMATS },
  ),
  backend: text(
    'what computes: a GPU, and WebAssembly where there is none (auto); WebGPU only; WebAssembly; the software adapter',
    {
      group: DONOR,
      choices: BACKEND_CHOICES,
      default: 'auto',
    },
  ),
  autotune: text(
    "times a GPU's kernels at the first start and keeps what was the fastest; again: keeps nothing of before (default: on, but off on --backend software)",
    { group: DONOR, choices: AUTOTUNE_MODES },
  ),
  threads: integer('threads that a tab without a GPU computes with (default: processors ÷ tabs)', {
    group: DONOR,
    check: atLeast(1),
  }),
}

export const placementOptions = {
  numBlocks: integer('blocks a tab serves', { group: DONOR, check: atLeast(1) }),
  totalBlocks: integer("the model's blocks, checked against its config", { group: DONOR, check: atLeast(1) }),
  splits: text('fixed mode: ascending block numbers at which the model is cut, as in "8,16,24"', {
    group: DONOR,
    placeholder: 'A,B,C',
  }),
  stage: integer('fixed mode: which part of the splits is served, 0 the first', { group: DONOR, check: atLeast(0) }),
  useLoadBalancing: flag('each tab picks its own blocks (also without it, unless splits and stage are given)', {
    group: DONOR,
  }),
  rule: text('how tabs pick their blocks: by what the swarm can carry, or by the published rule (default flow)', {
    group: DONOR,
    choices: RULE_NAMES,
  }),
  balanceQuality: number('how much better a move must make the swarm: by 1 ÷ this; lower is calmer (default 0.75)', {
    group: DONOR,
    check: between(0, 1),
  }),
  meanBalanceCheckPeriod: number('seconds between balance checks, random with this mean (default 120)', {
    group: DONOR,
    placeholder: 'SECONDS',
    check: above(0),
  }),
  memoryGb: number('gigabytes that weights, cache and activations of a tab may take', {
    group: DONOR,
    placeholder: 'GB',
    check: above(0),
  }),
  simulateSpeed: number('developer: answer no faster than so many block-steps a second', {
    group: DONOR,
    placeholder: 'R',
    check: above(0),
  }),
}

export const browserOptions = {
  headed: flag('shows the browser window', { group: BROWSER }),
  chromium: text('the Chrome or Chromium to use', { group: BROWSER, placeholder: 'PATH' }),
  installBrowser: text('whether a missing browser is installed', {
    group: BROWSER,
    choices: ['auto', 'never'],
    default: 'auto',
  }),
  slot: integer('profile slot; by default the first free one', { group: BROWSER, check: between(0, 9_999) }),
  fresh: flag('forgets the cached files and identities of the slot first', { group: BROWSER }),
}

export const dataOptions = {
  dataDir: text('folder for profiles, caches and identities (default: the per-user data folder)', {
    group: BROWSER,
    placeholder: 'DIR',
  }),
}

export const peerOptions = {
  dhtInitialPeers: list('addresses of relays of the swarm to join, as each relay prints them', {
    group: NETWORK,
    aliases: ['initial-peers'],
    placeholder: 'ADDR,ADDR',
  }),
}

export const caOption = {
  ca: text('certificate (PEM) of an authority to trust as well, for relays with certificates of their own', {
    group: NETWORK,
    placeholder: 'FILE',
  }),
}

export function portOption(help: string) {
  return integer(help, { group: NETWORK, aliases: ['dht-port'], check: isPort })
}

export const addressOptions = {
  publicIp: list('addresses under which others reach this relay', { group: NETWORK, placeholder: 'IP' }),
  publicPort: integer('port under which others reach this relay', {
    group: NETWORK,
    aliases: ['public-dht-port'],
    check: isPort,
  }),
}

/** The original's second port pair. */
export const rpcOptions = {
  rpcPort: integer('', {
    check: isPort,
    ignored: 'tabs talk through WebRTC and the relay’s one port: an RPC port is not used',
  }),
  publicRpcPort: integer('', {
    check: isPort,
    ignored: 'tabs talk through WebRTC and the relay’s one port: a public RPC port is not used',
  }),
}

export const samplingOptions = {
  maxTokens: integer('longest answer', { group: ANSWER, check: atLeast(1) }),
  temperature: number("0 is greedy (default: the model's generation_config)", {
    group: ANSWER,
    check: between(0, 100),
  }),
  topP: number("nucleus (default: the model's generation_config)", { group: ANSWER, check: between(0, 1) }),
  topK: integer('only the best K tokens; 0 is off', { group: ANSWER, check: atLeast(0) }),
  repetitionPenalty: number('1 is off', { group: ANSWER, check: above(0) }),
  seed: integer('the same seed gives the same answer', { group: ANSWER }),
  stop: list('texts that end the answer', { group: ANSWER, placeholder: 'TEXT,TEXT' }),
  ignoreEos: flag('goes on past the end token, to --max-tokens', { group: ANSWER }),
  raw: flag('without the chat template', { group: ANSWER }),
  promptIds: text('token ids in place of text: 1,2,3', { group: ANSWER, placeholder: 'IDS' }),
  system: text('system message before the prompt', { group: ANSWER }),
  mixWeights: flag('lets tabs of different weight formats follow one another; the text may then depend on who serves', {
    group: ANSWER,
  }),
  speculate: text(
    'tokens guessed from the text and tried with each lap through the swarm, as many as pay (auto) or always N; the text is the same',
    { group: ANSWER, placeholder: 'off|auto|N', default: DEFAULT_SPECULATE, check: isSpeculate },
  ),
  json: flag('one JSON object in place of the text', { group: ANSWER }),
}

/** Of commands that join a swarm in their own process. */
export const verboseOption = {
  verbose: flag('also tells what goes on between the peers', { group: NETWORK }),
}

export const promptOption = {
  prompt: text('what to ask', { group: ANSWER, short: 'p' }),
}
