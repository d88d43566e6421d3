/**
 * What a chat is, on the page and in storage. Plain data only: an entry as shown is the entry as stored, so that a reload
 * shows what was there. `storage/chat-db.ts` keeps it, `conversation.ts` changes it.
 */
import { DEFAULT_SPECULATE, type SpeculationReport } from '../../../session/speculate.ts'
import type { PlainError } from '../../../swarm/errors.ts'
import type { Span } from '../../../swarm/span.ts'

export interface ModelRef {
  repo: string
  revision: string
}

export interface Chat {
  id: string
  /** First words of the first message; '' while there is none. */
  title: string
  createdAt: number
  updatedAt: number
}

export interface UserEntry {
  role: 'user'
  text: string
  at: number
}

/** interrupted: the page went away while it was streaming. stopped: the person pressed Stop. */
export type AnswerStatus = 'streaming' | 'done' | 'stopped' | 'interrupted' | 'failed'

export interface AnswerEntry {
  role: 'assistant'
  text: string
  /** Generated ids, end token included: an interrupted answer is continued from them exactly. */
  ids: readonly number[]
  status: AnswerStatus
  at: number
  model: ModelRef
  /** Whether the model was prompted without a chat template. */
  raw: boolean
  /** True when the answer ended because max tokens were reached: it can be continued. */
  cut: boolean
  route: readonly HopView[]
  /** The route in one line; absent in answers of older builds. */
  routeLine?: string
  stats: AnswerStats | null
  /** Peers lost while it was written. */
  lost: readonly LostPeer[]
  error: PlainError | null
}

export type Entry = UserEntry | AnswerEntry

export interface HopView {
  peerId: string
  span: Span
  /** False: its bytes cross a relay. */
  direct: boolean
}

export interface LostPeer {
  peerId: string
  reason: string
  /** It moved, paused or stopped, and said so. */
  handedOver?: true
  afterMs: number
}

export interface AnswerStats {
  timeToFirstTokenMs: number
  tokensPerSecond: number
  generatedTokens: number
  promptTokens: number
  /** Prompt tokens whose KV cache was reused. */
  reusedTokens: number
  /** Passes through the swarm, and tokens guessed right in them; absent where none were to be guessed. */
  speculation?: SpeculationReport
}

/** Sampling as set on the page; null: what the model's generation_config says. */
export interface ChatSettings {
  temperature: number | null
  topP: number | null
  topK: number | null
  repetitionPenalty: number | null
  maxTokens: number
  /** null: a new seed for each answer. */
  seed: number | null
  systemPrompt: string
  /** Texts that end an answer. */
  stop: readonly string[]
  speculate: SpeculateSetting
  /** Tabs of different weight formats may follow one another. */
  mixWeights: boolean
}

/** Whether tokens are guessed ahead where it pays. The text is the same. */
export const SPECULATE_SETTINGS = ['off', 'auto'] as const
export type SpeculateSetting = (typeof SPECULATE_SETTINGS)[number]

export const DEFAULT_SETTINGS: ChatSettings = {
  temperature: null,
  topP: null,
  topK: null,
  repetitionPenalty: null,
  maxTokens: 256,
  seed: null,
  systemPrompt: '',
  stop: [],
  speculate: DEFAULT_SPECULATE,
  mixWeights: false,
}
