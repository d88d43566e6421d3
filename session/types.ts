/** The requesting side's vocabulary: what a generation is asked for and what it reports while it runs. */
import type { PlainError } from '../swarm/errors.ts'
import type { ModelId } from '../swarm/peer-record.ts'
import type { RouteHop } from '../swarm/planner/types.ts'
import type { Speculate, SpeculationReport } from './speculate.ts'

export interface ChatMessage {
  role: 'system' | 'user' | 'assistant'
  content: string
}

export interface SamplingOptions {
  /** 0: greedy. */
  temperature: number
  topP: number
  /** 0: off. */
  topK: number
  /** 1: off. */
  repetitionPenalty: number
  /** The generator is keyed by (seed, token index). */
  seed: number
}

/** The small files of a model: all that a requesting peer loads. */
export interface PromptModel {
  id: ModelId
  /** Longest sequence, prompt and answer together. */
  maxPositionEmbeddings: number
  vocabSize: number
  /** Decides how many rows a prefill chunk may have; absent: chunks of the smallest size. */
  hiddenSize?: number
  /** What each block costs, in blocks: the last one has the head (`SwarmView`). Absent: 1 each. */
  unitWeights?: readonly number[]
  eosTokenIds: readonly number[]
  /** From generation_config.json; what the file does not say is absent. */
  defaults: Partial<SamplingOptions>
  /** null for a model without a tokenizer: token ids only. */
  tokenizer: Tokenizer | null
  /** Whether a chat template exists; without one a chat is prompted raw. */
  hasChatTemplate: boolean
}

export interface Tokenizer {
  /** `addSpecialTokens` false for text that a chat template rendered: special tokens are added once. */
  encode(text: string, addSpecialTokens: boolean): Promise<number[]>
  /** @throws SwarmError BAD_TEMPLATE */
  applyChatTemplate(messages: readonly ChatMessage[]): Promise<string>
  /** Text of ids, special tokens left out. */
  decode(ids: readonly number[]): string
  /** Turns ids into text piece by piece; holds back incomplete UTF-8. */
  stream(): DecodeStream
  dispose(): void
}

export interface DecodeStream {
  /** Text that became complete with this token, '' if none did. */
  push(id: number): string
  /** What is left; never a replacement character for an incomplete sequence. */
  flush(): string
}

export interface GenerateRequest {
  promptIds: readonly number[]
  maxTokens: number
  sampling: SamplingOptions
  stopSequences: readonly string[]
  ignoreEos: boolean
  /** Lets hops of different weight formats follow one another in this answer; absent: as the chat was made. */
  mixWeights?: boolean
  signal: AbortSignal
  /**
   * Tokens of this answer that exist already (a journal read after a reload): they are run again, not reported again, and
   * count as the first tokens of the answer.
   */
  generatedIds?: readonly number[]
  /** Guesses at tokens ahead; off where it is left out. The text is the same. */
  speculate?: Speculate
}

export type FinishReason = 'stop' | 'length' | 'cancel' | 'error'

export interface Timings {
  /** Request to first token, ms. */
  timeToFirstTokenMs: number
  totalMs: number
  /** After the first token. */
  tokensPerSecond: number
  promptTokens: number
  /** Prompt tokens whose KV was reused from the turn before, or from another chat that begins alike. */
  reusedTokens: number
  generatedTokens: number
  failovers: number
  /** Absent where nothing was to be guessed. */
  speculation?: SpeculationReport
}

/** A hop and what it said of itself when the session was opened; '' where it did not say. */
export interface ServedHop extends RouteHop {
  weights: string
  backend: string
}

export type GenerateEvent =
  /** `line`: the route for a person (`routeLine`). */
  | { type: 'route'; hops: readonly RouteHop[]; direct: readonly boolean[]; line: string }
  | { type: 'prefill'; done: number; total: number; reused: number }
  /** `text` may be '' while a character is incomplete. `index` counts generated tokens from 0. */
  | { type: 'token'; index: number; id: number; text: string }
  /** No route now: waits, and goes on by itself. `missingBlocks` may be empty when peers exist but refuse. */
  | { type: 'paused'; missingBlocks: readonly number[]; reason: string }
  /** `handedOver`: it said that it moves, pauses or stops, and gave the session up between two tokens. */
  | { type: 'lost'; peerId: string; reason: string; afterMs: number; handedOver?: true }
  | { type: 'resumed' }
  | {
      type: 'end'
      finish: FinishReason
      ids: readonly number[]
      text: string
      route: readonly ServedHop[]
      weights: string
      backend: string
      timings: Timings
      error?: PlainError
    }
