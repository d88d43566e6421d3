/**
 * Keeps the stored answer close behind the screen: at most `JOURNAL_MS` old, one write at a time, and never a write for
 * each token. It holds only the newest value; an older one that was not written yet is replaced.
 */
import type { AnswerEntry } from './chat-types.ts'
import type { ChatStorage } from './ports.ts'

/** Under the promised 250 ms, leaving time for the write itself. */
export const JOURNAL_MS = 200

export class AnswerJournal {
  readonly #storage: ChatStorage
  readonly #chatId: string
  readonly #index: number
  readonly #onError: (error: unknown) => void
  #next: AnswerEntry | null = null
  #timer: ReturnType<typeof setTimeout> | undefined
  #writing: Promise<void> = Promise.resolve()

  constructor(storage: ChatStorage, chatId: string, index: number, onError: (error: unknown) => void) {
    this.#storage = storage
    this.#chatId = chatId
    this.#index = index
    this.#onError = onError
  }

  /** Notes the newest value; it is on its way to storage within `JOURNAL_MS`. */
  note(entry: AnswerEntry): void {
    this.#next = entry
    this.#timer ??= setTimeout(() => this.#write(), JOURNAL_MS)
  }

  /** Writes a value at once and resolves when it is stored. A failed write is reported to `onError`, not thrown. */
  async keep(entry: AnswerEntry): Promise<void> {
    this.#next = entry
    this.#write()
    await this.#writing
  }

  #write(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    this.#writing = this.#writing.then(async () => {
      const entry = this.#next
      if (entry === null) return
      this.#next = null
      try {
        await this.#storage.putEntry(this.#chatId, this.#index, entry)
      } catch (error) {
        this.#onError(error)
      }
    })
  }
}
