/** The list of chats and which one is open. A new chat is stored with its first message, not before. */
import { signal, type ReadonlySignal, type Signal } from '@preact/signals'
import { describeError } from '../../../swarm/errors.ts'
import type { AnswerEntry, Chat } from './chat-types.ts'
import { Conversation, type ConversationParts } from './conversation.ts'
import type { ChatStorage } from './ports.ts'

export interface Chats {
  readonly list: ReadonlySignal<readonly Chat[]>
  readonly current: ReadonlySignal<Conversation>
  /** False: this browser keeps nothing, and the page says so. */
  readonly durable: boolean
  /** The newest finished answer, for screen readers. */
  readonly finished: ReadonlySignal<AnswerEntry | null>
  /** What kept a stored chat from being read. */
  readonly problem: ReadonlySignal<string | null>
  load(): Promise<void>
  open(id: string): Promise<void>
  create(): void
  remove(id: string): Promise<void>
}

export function createChats(
  parts: Omit<ConversationParts, 'onChatChange' | 'onFinished'> & { storage: ChatStorage; newId: () => string },
): Chats {
  const list = signal<readonly Chat[]>([])
  const finished = signal<AnswerEntry | null>(null)
  const problem = signal<string | null>(null)
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
  return {
    list,
    current,
    durable: parts.storage.durable,
    finished,
    problem,
    open,
    async load() {
      try {
        list.value = (await parts.storage.chats()).toSorted((a, b) => b.updatedAt - a.updatedAt)
        const newest = list.peek()[0]
        // Nothing that the person has begun meanwhile is taken away.
        if (newest !== undefined && current.peek().entries.peek().length === 0 && !current.peek().busy.peek()) {
          await open(newest.id)
        }
      } catch (error) {
        problem.value = describeError(error)
      }
    },
    create() {
      if (current.peek().entries.peek().length === 0 && !current.peek().busy.peek()) return
      current.value = blank()
    },
    async remove(id) {
      const conversation = conversations.get(id)
      conversations.delete(id)
      await conversation?.dispose()
      await parts.storage.remove(id)
      list.value = list.peek().filter((chat) => chat.id !== id)
      if (current.peek().id === id) current.value = blank()
    },
  }
}
