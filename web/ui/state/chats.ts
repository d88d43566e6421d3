/** The list of chats and which one is open. A new chat is stored with its first message, not before. */
import { signal, type ReadonlySignal, type Signal } from '@preact/signals'
import type { PlainError } from '../../../swarm/errors.ts'
import type { AnswerEntry, Chat } from './chat-types.ts'
import { Conversation, TITLE_CHARS, type ConversationParts } from './conversation.ts'
import { pageError } from './page-error.ts'
import type { ChatStorage } from './ports.ts'

export interface Chats {
  readonly list: ReadonlySignal<readonly Chat[]>
  readonly current: ReadonlySignal<Conversation>
  /** False: this browser keeps nothing, and the page says so. */
  readonly durable: boolean
  /** The newest finished answer, for screen readers. */
  readonly finished: ReadonlySignal<AnswerEntry | null>
  /** What kept the stored chats from being read or changed. */
  readonly problem: ReadonlySignal<PlainError | null>
  load(): Promise<void>
  open(id: string): Promise<void>
  create(): void
  rename(id: string, title: string): Promise<void>
  remove(id: string): Promise<void>
  dismissProblem(): void
}

export function createChats(
  parts: Omit<ConversationParts, 'onChatChange' | 'onFinished'> & { storage: ChatStorage; newId: () => string },
): Chats {
  const list = signal<readonly Chat[]>([])
  const finished = signal<AnswerEntry | null>(null)
  const problem = signal<PlainError | null>(null)
  const conversations = new Map<string, Conversation>()
  const conversationOf = (chat: Chat): Conversation => {
    const known = conversations.get(chat.id)
    if (known !== undefined) return known
    const made = new Conversation(chat, {
      ...parts,
      onChatChange: (changed) => {
        list.value = [changed, ...list.peek().filter((other) => other.id !== changed.id)]
      },
      onFinished: (entry) => {
        finished.value = entry
      },
    })
    conversations.set(chat.id, made)
    return made
  }
  const blank = (): Conversation => {
    const at = parts.now()
    return conversationOf({ id: parts.newId(), title: '', createdAt: at, updatedAt: at })
  }
  const current: Signal<Conversation> = signal(blank())
  const open = async (id: string): Promise<void> => {
    const chat = list.peek().find((candidate) => candidate.id === id)
    if (chat === undefined) return
    const fresh = !conversations.has(id)
    const conversation = conversationOf(chat)
    if (fresh) await conversation.load()
    current.value = conversation
  }
  const sorted = async (): Promise<Chat[]> =>
    (await parts.storage.chats()).toSorted((a, b) => b.updatedAt - a.updatedAt)
  const guarded = async (work: () => Promise<void>): Promise<void> => {
    try {
      await work()
    } catch (error) {
      problem.value = pageError(error)
    }
  }
  const forget = (id: string): void => {
    conversations.delete(id)
    list.value = list.peek().filter((chat) => chat.id !== id)
    if (current.peek().id === id) current.value = blank()
  }
  /** Another tab wrote: its chat is read again, once for all the writes that came meanwhile. */
  const follow = async (id: string): Promise<void> => {
    const chats = await sorted()
    const conversation = conversations.get(id)
    if (chats.some((chat) => chat.id === id)) await conversation?.load()
    else if (conversation?.busy.peek() !== true) forget(id)
    list.value = chats
  }
  const waiting = new Set<string>()
  parts.storage.onChange((id) => {
    const isUnderWay = waiting.size > 0
    waiting.add(id)
    if (isUnderWay) return
    void guarded(async () => {
      for (const next of waiting) {
        await follow(next)
        waiting.delete(next)
      }
    }).finally(() => waiting.clear())
  })
  return {
    list,
    current,
    durable: parts.storage.durable,
    finished,
    problem,
    open,
    load: () =>
      guarded(async () => {
        list.value = await sorted()
        const newest = list.peek()[0]
        // Nothing that the person has begun meanwhile is taken away.
        if (newest !== undefined && current.peek().entries.peek().length === 0 && !current.peek().busy.peek()) {
          await open(newest.id)
        }
      }),
    create() {
      if (current.peek().entries.peek().length === 0 && !current.peek().busy.peek()) return
      current.value = blank()
    },
    rename: (id, title) =>
      guarded(async () => {
        const chat = list.peek().find((candidate) => candidate.id === id)
        const name = title.trim().slice(0, TITLE_CHARS)
        if (chat === undefined || name === '') return
        await conversationOf(chat).rename(name)
        list.value = list.peek().map((other) => (other.id === id ? { ...other, title: name } : other))
      }),
    remove: (id) =>
      guarded(async () => {
        await conversations.get(id)?.dispose()
        await parts.storage.remove(id)
        forget(id)
      }),
    dismissProblem() {
      problem.value = null
    },
  }
}
