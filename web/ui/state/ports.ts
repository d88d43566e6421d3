/**
 * What the page's stores ask of the rest of the program: interfaces only. `web/compose` implements them with the real
 * network, model files and donor; tests implement them with fakes. Nothing here knows the DOM.
 */
import type {
  ChatMessage,
  DecodeStream,
  GenerateEvent,
  GenerateRequest,
  SamplingOptions,
} from '../../../session/types.ts'
import type { DonorDefaults } from '../../../swarm/app-config.ts'
import type { PlainError } from '../../../swarm/errors.ts'
import type { WeightChoice } from '../../../swarm/model/config.ts'
import type { PeerRecord } from '../../../swarm/peer-record.ts'
import type { PowerConditions } from '../../donor/pause-control.ts'
import type { ReachFindings } from '../../../swarm/reach.ts'
import type { Donor } from '../../donor/state.ts'
import type { Chat, Entry, ModelRef } from './chat-types.ts'

/** A model that can be asked: on offer by the page's relay, seen in the swarm, or named by hand. */
export interface ModelChoice extends ModelRef {
  hubUrl: string
  /** null: not known before its config is read. */
  blocks: number | null
  sizeBytes: number | null
  description: string | null
  source: 'offer' | 'swarm' | 'named'
  /** The small model that comes with the project: it knows very little. */
  embedded: boolean
}

/** A model's small files, loaded: what prompting needs. */
export interface OpenedModel {
  readonly ref: ModelRef
  /** What peers of this model announce; null while unknown. */
  readonly digest: string
  readonly blocks: number
  readonly contextTokens: number
  readonly hasTokenizer: boolean
  readonly hasChatTemplate: boolean
  readonly defaults: Partial<SamplingOptions>
  /**
   * Token ids of a conversation, ready for an answer. Without a chat template the texts are put one after another;
   * without a tokenizer the last message must be ids such as `1, 2, 3`.
   * @throws SwarmError EMPTY_PROMPT, BAD_TOKEN_ID, BAD_TEMPLATE, PROMPT_TOO_LONG
   */
  encode(messages: readonly ChatMessage[]): Promise<number[]>
  /** null without a tokenizer. */
  decoder(): DecodeStream | null
  /** The session of one chat: it keeps its route and KV cache between turns. Made on first use, one a chat. */
  session(chatId: string): Promise<PromptSession>
  /** Ends the chat's session, if there is one. */
  endSession(chatId: string): Promise<void>
}

export interface PromptSession {
  generate(request: GenerateRequest): AsyncGenerator<GenerateEvent>
}

export interface PromptPort {
  /** Loads the small files once; later calls give the same object. */
  open(model: ModelChoice): Promise<OpenedModel>
}

export interface RelayLine {
  address: string
  state: 'connecting' | 'connected' | 'lost' | 'refused' | 'restarting'
  reason?: string
  /** Why waiting will not help: it is of another version, or another relay than the address names answers there. */
  trouble?: 'version' | 'other-relay'
  /** When restarting: after how long it said it is back. */
  backAfterMs?: number
  /** Named by the page's link alone, not by its server. */
  isFromLink?: true
}

export interface SwarmModel extends ModelRef {
  digest: string
  blocks: number
  records: readonly PeerRecord[]
}

export interface SwarmSnapshot {
  /** asking: the link names relays of its own, and nobody has agreed to join them yet. */
  state: 'off' | 'asking' | 'joining' | 'joined' | 'failed'
  error: PlainError | null
  relays: readonly RelayLine[]
  models: readonly SwarmModel[]
}

export interface SwarmPort {
  /** Joins as a requesting peer; safe to call again. Failure shows in the snapshot. */
  join(): Promise<void>
  snapshot(): SwarmSnapshot
  onChange(listener: () => void): () => void
}

/** What a person may choose before donating; undefined: left to the planner. */
export interface DonorChoices {
  model: ModelChoice
  numBlocks: number | null
  memoryGb: number | null
  weights: WeightChoice
}

export interface DonorPort {
  /** A donor that has done nothing yet. The page keeps one at a time. */
  create(choices: DonorChoices): Promise<Donor>
  /** What the link and the page's configuration ask for; shown, and fixed mode cannot be changed on the page. */
  readonly defaults: DonorDefaults
}

export interface KeptModel extends ModelRef {
  bytes: number
  /** Loaded or served by a tab of this origin: it cannot be deleted now. */
  inUse: boolean
}

export interface KeptListing {
  models: readonly KeptModel[]
  /** Of everything this origin keeps; null: the browser does not tell. */
  usedBytes: number | null
  quotaBytes: number | null
  fate: 'kept' | 'may-go' | 'unknown'
}

export type KeptDeletion =
  | { outcome: 'deleted'; freedBytes: number }
  | { outcome: 'in-use' }
  | { outcome: 'partly'; freedBytes: number; leftBytes: number; reason: string }

/** Weights that the browser keeps between visits. */
export interface KeptPort {
  /** null: this browser keeps no files for the page. */
  list(): Promise<KeptListing | null>
  delete(model: ModelRef): Promise<KeptDeletion>
  /** Something may have changed, here or in another tab. */
  onChange(listener: () => void): () => void
}

/** Something in the page's address that it does not know, and leaves out. */
export interface LinkNote {
  kind: 'parameter' | 'view'
  name: string
}

export interface UpdatePort {
  /** What names a newer build of this page on its server; null while there is none. Never rejects. */
  look(): Promise<string | null>
}

/** Finds out how other tabs come to this one. */
export interface ReachPort {
  /** Only while the tab serves, and without disturbing it; told of each step. @throws the signal's reason */
  probe(onFound: (found: Partial<ReachFindings>) => void, signal: AbortSignal): Promise<ReachFindings>
}

export interface ChatStorage {
  /** False: nothing survives a reload (the browser refuses storage). */
  readonly durable: boolean
  chats(): Promise<Chat[]>
  entries(chatId: string): Promise<Entry[]>
  putChat(chat: Chat): Promise<void>
  /** Resolves when the entry is on disk (strict durability) with `durable`, otherwise when the write is done. */
  putEntry(chatId: string, index: number, entry: Entry, options?: { durable?: boolean }): Promise<void>
  /** Drops entries from `length` on. */
  truncate(chatId: string, length: number): Promise<void>
  remove(chatId: string): Promise<void>
  /** Another tab of this browser wrote in a chat, or removed it. */
  onChange(listener: (chatId: string) => void): void
}

/** One tab writes in a chat at a time. */
export interface ChatLocks {
  /** Returns the release function, or null while another tab holds the chat. */
  take(chatId: string): Promise<(() => void) | null>
  held(): Promise<ReadonlySet<string>>
}

/** Small settings kept between visits. Nothing private goes here. */
export interface SettingsStorage {
  get(key: string): string | null
  set(key: string, value: string): void
}

/** What the browser tells of battery and connection. */
export interface PowerDevice {
  read(): PowerConditions
  onChange(listener: () => void): void
}

/** Keeps the screen on. */
export interface ScreenLockDevice {
  /** Resolves with what gives it back; `onReleased` is called however it ends. Rejects when the browser refuses. */
  request(onReleased: () => void): Promise<() => Promise<void>>
  isVisible(): boolean
  onVisibility(listener: () => void): void
}
