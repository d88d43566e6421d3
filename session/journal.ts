/**
 * The token journal: the only authoritative copy of an answer. Tokens are appended, each index is written once, and a
 * recomputed token must be the one that stands there. What is behind it (IndexedDB in the page, nothing on the command
 * line) is handed in. Writing runs at most FLUSH_TOKENS tokens or FLUSH_MS behind what is shown; after a reload the rest
 * is computed again, to the same tokens.
 */
import { SwarmError } from '../swarm/errors.ts'
import type { SamplingOptions } from './types.ts'

export interface JournalToken {
  index: number
  id: number
}

/** What a message needs to be computed again after a reload; written before the prompt is sent. */
export interface JournalHead {
  chat: string
  message: string
  modelDigest: string
  promptIds: readonly number[]
  sampling: SamplingOptions
  maxTokens: number
  stopSequences: readonly string[]
}

/** Durable storage, in one transaction a call. Keys: (chat, message) for heads, (chat, message, index) for tokens. */
export interface JournalStore {
  /** Resolves when the head is durable. A message has one head for ever. */
  begin(head: JournalHead): Promise<void>
  /** Consecutive tokens. An index that stands already is left as it is: the token was computed again. */
  append(chat: string, message: string, tokens: readonly JournalToken[]): Promise<void>
  /** null for an unknown message; tokens ordered by index. */
  read(chat: string, message: string): Promise<{ head: JournalHead; tokens: readonly JournalToken[] } | null>
}

const FLUSH_TOKENS = 8
const FLUSH_MS = 250

export class TokenJournal {
  readonly head: JournalHead
  readonly #store: JournalStore
  readonly #ids: number[]
  #written: number
  #timer: ReturnType<typeof setTimeout> | undefined
  #writing: Promise<void> = Promise.resolve()
  #failure: unknown = null

  private constructor(store: JournalStore, head: JournalHead, ids: number[]) {
    this.#store = store
    this.head = head
    this.#ids = ids
    this.#written = ids.length
  }

  /** Resolves when the message is durable: only then may its prompt be sent. */
  static async begin(store: JournalStore, head: JournalHead): Promise<TokenJournal> {
    await store.begin(head)
    return new TokenJournal(store, head, [])
  }

  /** The journal as it was left; its `ids` are the `generatedIds` of the request that goes on. null: unknown message. */
  static async reopen(store: JournalStore, chat: string, message: string): Promise<TokenJournal | null> {
    const stored = await store.read(chat, message)
    if (stored === null) return null
    const ids: number[] = []
    // A hole would be a torn write: what follows it is computed again.
    for (const token of stored.tokens) if (token.index === ids.length) ids.push(token.id)
    return new TokenJournal(store, stored.head, ids)
  }

  get ids(): readonly number[] {
    return this.#ids
  }

  /**
   * Appends token `index`. The same token at an index that stands already is fine (it was recomputed).
   * @throws SwarmError STORAGE_FULL when an earlier write failed; Error for a different token or a hole (a bug)
   */
  append(index: number, id: number): void {
    if (this.#failure !== null) throw storageFailed(this.#failure)
    if (index < this.#ids.length) {
      if (this.#ids[index] === id) return
      throw new Error(`bug: token ${index} is ${this.#ids[index]} and would become ${id}`)
    }
    if (index > this.#ids.length) throw new Error(`bug: token ${index} after ${this.#ids.length} tokens`)
    this.#ids.push(id)
    if (this.#ids.length - this.#written >= FLUSH_TOKENS) this.#write()
    else if (this.#timer === undefined) this.#timer = setTimeout(() => this.#write(), FLUSH_MS)
  }

  /** Resolves when everything appended is durable. @throws SwarmError STORAGE_FULL */
  async flush(): Promise<void> {
    this.#write()
    await this.#writing
    if (this.#failure !== null) throw storageFailed(this.#failure)
  }

  #write(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    const from = this.#written
    const tokens = this.#ids.slice(from).map((id, i) => ({ index: from + i, id }))
    if (tokens.length === 0) return
    this.#written = this.#ids.length
    const { chat, message } = this.head
    this.#writing = this.#writing
      .then(() => (this.#failure === null ? this.#store.append(chat, message, tokens) : undefined))
      .catch((error: unknown) => {
        this.#failure = error
      })
  }
}

/** For one-shot programs and tests. */
export function createMemoryJournalStore(): JournalStore {
  const messages = new Map<string, { head: JournalHead; tokens: JournalToken[] }>()
  const key = (chat: string, message: string): string => JSON.stringify([chat, message])
  return {
    async begin(head) {
      const k = key(head.chat, head.message)
      if (messages.has(k)) throw new Error(`bug: message ${head.message} has a head already`)
      messages.set(k, { head, tokens: [] })
    },
    async append(chat, message, tokens) {
      const stored = messages.get(key(chat, message))
      if (stored === undefined) throw new Error(`bug: message ${message} has no head`)
      const known = new Set(stored.tokens.map((token) => token.index))
      stored.tokens = [...stored.tokens, ...tokens.filter((token) => !known.has(token.index))]
        // by index, as a database orders its keys
        .toSorted((a, b) => a.index - b.index)
    },
    async read(chat, message) {
      return messages.get(key(chat, message)) ?? null
    },
  }
}

function storageFailed(cause: unknown): SwarmError {
  return new SwarmError('STORAGE_FULL', 'the chat could not be stored', {
    action: 'Free some space for this site, then send again.',
    cause,
  })
}
