/**
 * One chat: its entries, and send, stop, retry and continue. The order of a send is what makes it safe: the person's
 * message is on disk before anything leaves the page, the answer's row exists before its first token, and the stored
 * answer follows the screen (`journal.ts`). Several conversations may be answering at once.
 */
import { batch, computed, signal, type ReadonlySignal } from '@preact/signals'
import type { ChatMessage, GenerateRequest } from '../../../session/types.ts'
import { SwarmError, type PlainError } from '../../../swarm/errors.ts'
import { followAnswer, type Phase } from './answering.ts'
import type { AnswerEntry, Chat, ChatSettings, Entry, UserEntry } from './chat-types.ts'
import { AnswerJournal } from './journal.ts'
import type { ChatLocks, ChatStorage, ModelChoice, OpenedModel, PromptPort } from './ports.ts'
import { pageError } from './page-error.ts'
import { resolveSampling } from './sampling.ts'

export interface ConversationParts {
  storage: ChatStorage
  locks: ChatLocks
  prompts: PromptPort
  model: () => ModelChoice | null
  settings: () => ChatSettings
  now: () => number
  randomSeed: () => number
  /** The chat's title or time changed: the list shows it. */
  onChatChange: (chat: Chat) => void
  /** An answer is complete: said once to screen readers. */
  onFinished: (entry: AnswerEntry) => void
}

/** Longer titles are cut; the whole message stands in the chat. */
export const TITLE_CHARS = 60

/** While another tab answers in this chat: how often to look whether it still does. */
const RELEASE_CHECK_MS = 500

export class Conversation {
  readonly id: string
  readonly #parts: ConversationParts
  readonly #entries = signal<readonly Entry[]>([])
  readonly #live = signal<AnswerEntry | null>(null)
  readonly #phase = signal<Phase>({ kind: 'idle' })
  readonly #problem = signal<PlainError | null>(null)
  #chat: Chat
  #abort: AbortController | null = null
  #running: Promise<unknown> = Promise.resolve()
  /** The model whose session this chat last used. */
  #opened: OpenedModel | null = null
  #releaseTimer: ReturnType<typeof setTimeout> | undefined

  constructor(chat: Chat, parts: ConversationParts) {
    this.id = chat.id
    this.#chat = chat
    this.#parts = parts
  }

  /** Finished entries; the one being written is `live`. */
  get entries(): ReadonlySignal<readonly Entry[]> {
    return this.#entries
  }
  get live(): ReadonlySignal<AnswerEntry | null> {
    return this.#live
  }
  get phase(): ReadonlySignal<Phase> {
    return this.#phase
  }
  /** What kept the last action from being done, until the next one. */
  get problem(): ReadonlySignal<PlainError | null> {
    return this.#problem
  }
  readonly busy = computed(() => this.phase.value.kind !== 'idle')

  /**
   * Reads the stored entries, at first and when another tab wrote in this chat; what this tab writes itself is newer. An
   * answer that was being written by a page that is gone is shown as interrupted.
   */
  async load(): Promise<void> {
    const stored = await this.#parts.storage.entries(this.id)
    const elsewhere = await this.#isHeldElsewhere()
    if (this.busy.peek()) return
    this.#show(stored, elsewhere)
    if (elsewhere) this.#followRelease()
    // Said until the other tab is done.
    if (!elsewhere && this.#problem.peek()?.code === 'CHAT_TAKEN') this.#problem.value = null
  }

  async #isHeldElsewhere(): Promise<boolean> {
    return (await this.#parts.locks.held()).has(this.id)
  }

  /** A tab that is gone tells nobody: the page before a reload, whose lock outlives it for a moment, or a closed tab. */
  #followRelease(): void {
    if (this.#releaseTimer !== undefined) return
    this.#releaseTimer = setTimeout(() => {
      this.#releaseTimer = undefined
      void this.load().catch((error: unknown) => {
        this.#problem.value = pageError(error)
      })
    }, RELEASE_CHECK_MS)
  }

  #show(stored: readonly Entry[], elsewhere: boolean): void {
    this.#entries.value = stored.map((entry) =>
      entry.role === 'assistant' && entry.status === 'streaming' && !elsewhere
        ? { ...entry, status: 'interrupted' as const }
        : entry,
    )
  }

  /** Whether `text` stands in the chat now: false leaves it in the composer, and `problem` says why. */
  async send(text: string): Promise<boolean> {
    const message = text.trim()
    if (message === '' || this.busy.peek()) return false
    let isStored = false
    await this.#whileLocked(async (signal_) => {
      // What another tab wrote stands before it.
      await this.#catchUp()
      const entry: UserEntry = { role: 'user', text: message, at: this.#parts.now() }
      const index = this.#entries.peek().length
      await this.#saveChat(message)
      await this.#parts.storage.putEntry(this.id, index, entry, { durable: true })
      isStored = true
      this.#entries.value = [...this.#entries.peek(), entry]
      await this.#answer(null, signal_)
    })
    return isStored
  }

  /** Writes the last answer anew, in place of the old one. */
  async retry(): Promise<void> {
    if (this.busy.peek() || this.#entries.peek().length === 0) return
    await this.#whileLocked(async (signal_) => {
      await this.#refuseIfBehind()
      const entries = this.#entries.peek()
      const length = entries.at(-1)?.role === 'assistant' ? entries.length - 1 : entries.length
      await this.#parts.storage.truncate(this.id, length)
      this.#entries.value = entries.slice(0, length)
      await this.#answer(null, signal_)
    })
  }

  /** Goes on with the last answer from its last token: after an interruption, a stop, a failure or max tokens. */
  async resume(): Promise<void> {
    const last = this.#entries.peek().at(-1)
    if (this.busy.peek() || last?.role !== 'assistant') return
    await this.#whileLocked(async (signal_) => {
      await this.#refuseIfBehind()
      this.#entries.value = this.#entries.peek().slice(0, -1)
      await this.#answer(last, signal_)
    })
  }

  /** Stops the running answer; what has come stays. */
  stop(): void {
    if (this.#abort === null) return
    this.#phase.value = { kind: 'stopping' }
    this.#abort.abort(new SwarmError('CANCELLED', 'stopped by the person'))
  }

  dismissProblem(): void {
    this.#problem.value = null
  }

  /** The conversation as the model would read it with `draft` as the next message. */
  messages(draft: string | null): ChatMessage[] {
    const { systemPrompt } = this.#parts.settings()
    const messages: ChatMessage[] = []
    if (systemPrompt.trim() !== '') messages.push({ role: 'system', content: systemPrompt })
    for (const entry of this.#entries.peek()) {
      // A failed answer without any text would be an empty turn; the model never wrote it.
      if (entry.role === 'user' || entry.text !== '') messages.push({ role: entry.role, content: entry.text })
    }
    if (draft !== null) messages.push({ role: 'user', content: draft })
    return messages
  }

  /** Stops what runs, waits for its last write and frees the session at the hops. */
  async dispose(): Promise<void> {
    this.stop()
    await this.#running
    await this.#opened?.endSession(this.id)
  }

  /** The new title, here and in storage. */
  async rename(title: string): Promise<void> {
    this.#chat = { ...this.#chat, title }
    await this.#parts.storage.putChat(this.#chat)
  }

  /** Whether another tab had written what this one did not show; it is shown now. Called with the chat's lock held. */
  async #catchUp(): Promise<boolean> {
    const stored = await this.#parts.storage.entries(this.id)
    if (!isAhead(stored, this.#entries.peek())) return false
    this.#show(stored, false)
    return true
  }

  /** Nothing is replaced that the person has not seen. @throws SwarmError CHAT_TAKEN */
  async #refuseIfBehind(): Promise<void> {
    if (!(await this.#catchUp())) return
    throw new SwarmError('CHAT_TAKEN', 'another tab has written in this chat meanwhile', {
      action: 'Look at what stands there now, then try again.',
    })
  }

  async #whileLocked(work: (signal: AbortSignal) => Promise<void>): Promise<void> {
    const run = this.#locked(work)
    this.#running = run
    await run
  }

  async #locked(work: (signal: AbortSignal) => Promise<void>): Promise<void> {
    const abort = new AbortController()
    this.#abort = abort
    batch(() => {
      this.#problem.value = null
      this.#phase.value = { kind: 'opening' }
    })
    let release: (() => void) | null = null
    try {
      release = await this.#parts.locks.take(this.id)
      if (release === null) {
        throw new SwarmError('CHAT_TAKEN', 'another tab is answering in this chat', {
          action: 'Wait for its answer, or start a new chat here.',
        })
      }
      await work(abort.signal)
    } catch (error) {
      this.#problem.value = pageError(error)
    } finally {
      release?.()
      this.#abort = null
      this.#phase.value = { kind: 'idle' }
    }
  }

  /** Asks the model; `earlier` is the answer to continue. Ends with a finished entry in any case. */
  async #answer(earlier: AnswerEntry | null, signal_: AbortSignal): Promise<void> {
    const choice = this.#parts.model()
    if (choice === null)
      throw new SwarmError('UNKNOWN_MODEL', 'no model is chosen', { action: 'Choose a model above.' })
    const index = this.#entries.peek().length
    let entry: AnswerEntry = earlier ?? this.#emptyAnswer(choice)
    entry = { ...entry, status: 'streaming', error: null }
    const journal = new AnswerJournal(this.#parts.storage, this.id, index, (error) => {
      this.#problem.value = pageError(error)
    })
    this.#live.value = entry
    // Its row is there before its first token, or it is said that this one is not kept; written it is in any case.
    await journal.keep(entry)
    try {
      const model = await this.#parts.prompts.open(choice)
      if (this.#opened !== null && this.#opened !== model) await this.#opened.endSession(this.id)
      this.#opened = model
      const history = await model.encode(this.messages(null))
      const promptIds = [...history, ...entry.ids]
      entry = { ...entry, model: model.ref, raw: !model.hasChatTemplate }
      this.#phase.value = { kind: 'connecting' }
      const session = await model.session(this.id)
      signal_.throwIfAborted()
      entry = await followAnswer(
        entry,
        session.generate(this.#request(model, promptIds, signal_)),
        model.decoder(),
        this.#parts.settings().stop,
        {
          entry: (next) => {
            this.#live.value = next
            journal.note(next)
          },
          phase: (next) => {
            if (this.#phase.peek().kind !== 'stopping') this.#phase.value = next
          },
        },
        this.#parts.now,
      )
    } catch (error) {
      entry = signal_.aborted
        ? { ...entry, status: 'stopped' }
        : { ...entry, status: 'failed', error: pageError(error) }
    }
    await journal.keep(entry)
    batch(() => {
      this.#live.value = null
      this.#entries.value = [...this.#entries.peek(), entry]
    })
    this.#parts.onFinished(entry)
  }

  #request(model: OpenedModel, promptIds: number[], signal_: AbortSignal): GenerateRequest {
    const settings = this.#parts.settings()
    const room = model.contextTokens - promptIds.length
    if (room < 1) throw contextFull(promptIds.length, model.contextTokens)
    return {
      promptIds,
      maxTokens: Math.min(settings.maxTokens, room),
      sampling: resolveSampling(settings, model.defaults, this.#parts.randomSeed),
      stopSequences: settings.stop,
      ignoreEos: false,
      mixWeights: settings.mixWeights,
      signal: signal_,
      speculate: settings.speculate,
    }
  }

  #emptyAnswer(choice: ModelChoice): AnswerEntry {
    return {
      role: 'assistant',
      text: '',
      ids: [],
      status: 'streaming',
      at: this.#parts.now(),
      model: { repo: choice.repo, revision: choice.revision },
      raw: false,
      cut: false,
      route: [],
      stats: null,
      lost: [],
      error: null,
    }
  }

  async #saveChat(message: string): Promise<void> {
    const title = this.#chat.title === '' ? message.replace(/\s+/g, ' ').slice(0, TITLE_CHARS) : this.#chat.title
    this.#chat = { ...this.#chat, title, updatedAt: this.#parts.now() }
    await this.#parts.storage.putChat(this.#chat)
    this.#parts.onChatChange(this.#chat)
  }
}

/** A write of ours that failed leaves storage behind what is shown, never ahead of it. */
function isAhead(stored: readonly Entry[], shown: readonly Entry[]): boolean {
  const [theirs, ours] = [stored.at(-1), shown.at(-1)]
  if (theirs === undefined || stored.length < shown.length) return false
  if (ours === undefined || stored.length > shown.length || theirs.at > ours.at) return true
  return theirs.role === 'assistant' && ours.role === 'assistant' && theirs.ids.length > ours.ids.length
}

/** Said before sending too, where the count is known. */
export function contextFull(promptTokens: number, contextTokens: number): SwarmError {
  return new SwarmError(
    'CONTEXT_FULL',
    `the conversation takes ${promptTokens} tokens, and the model reads ${contextTokens} at most with the answer`,
    { action: 'Start a new chat, or shorten the message.', details: { promptTokens, contextTokens } },
  )
}
