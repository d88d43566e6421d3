/**
 * Chats in IndexedDB. An entry's key is (chat, index), so that an index is written once and only replaced by a newer
 * state of itself. Falls back to memory where the browser refuses storage, and says so through `durable`.
 */
import { openDB, type DBSchema, type IDBPDatabase } from 'idb'
import type { Chat, Entry } from '../state/chat-types.ts'
import type { ChatStorage } from '../state/ports.ts'

interface ChatSchema extends DBSchema {
  chats: { key: string; value: Chat }
  entries: { key: [string, number]; value: { chatId: string; index: number; entry: Entry } }
}

const DATABASE = 'tabswarm-chats'
/** Tells the other tabs of this browser which chat was written. */
const CHANNEL = 'tabswarm-chats'

export async function openChatStorage(): Promise<ChatStorage> {
  try {
    const db = await openDB<ChatSchema>(DATABASE, 1, {
      upgrade(fresh) {
        fresh.createObjectStore('chats', { keyPath: 'id' })
        fresh.createObjectStore('entries', { keyPath: ['chatId', 'index'] })
      },
    })
    return new IndexedChats(db)
  } catch {
    // Private windows of some browsers and full disks: the page works, and tells that nothing is kept.
    return new MemoryChats()
  }
}

class IndexedChats implements ChatStorage {
  readonly durable = true
  readonly #db: IDBPDatabase<ChatSchema>
  readonly #channel = new BroadcastChannel(CHANNEL)

  constructor(db: IDBPDatabase<ChatSchema>) {
    this.#db = db
  }

  async chats(): Promise<Chat[]> {
    return await this.#db.getAll('chats')
  }

  async entries(chatId: string): Promise<Entry[]> {
    return (await this.#db.getAll('entries', entryRange(chatId))).map((row) => row.entry)
  }

  async putChat(chat: Chat): Promise<void> {
    await this.#db.put('chats', chat)
    this.#channel.postMessage(chat.id)
  }

  async putEntry(
    chatId: string,
    index: number,
    entry: Entry,
    { durable = false }: { durable?: boolean } = {},
  ): Promise<void> {
    const transaction = this.#db.transaction('entries', 'readwrite', { durability: durable ? 'strict' : 'relaxed' })
    await Promise.all([transaction.store.put({ chatId, index, entry }), transaction.done])
    this.#channel.postMessage(chatId)
  }

  async truncate(chatId: string, length: number): Promise<void> {
    await this.#db.delete('entries', entryRange(chatId, length))
    this.#channel.postMessage(chatId)
  }

  async remove(chatId: string): Promise<void> {
    const transaction = this.#db.transaction(['chats', 'entries'], 'readwrite')
    await Promise.all([
      transaction.objectStore('chats').delete(chatId),
      transaction.objectStore('entries').delete(entryRange(chatId)),
      transaction.done,
    ])
    this.#channel.postMessage(chatId)
  }

  onChange(listener: (chatId: string) => void): void {
    this.#channel.addEventListener('message', ({ data }) => {
      if (typeof data === 'string') listener(data)
    })
  }
}

function entryRange(chatId: string, from = 0): IDBKeyRange {
  return IDBKeyRange.bound([chatId, from], [chatId, Number.MAX_SAFE_INTEGER])
}

/** What a page without storage uses; also the reference in tests. */
export class MemoryChats implements ChatStorage {
  readonly durable: boolean
  readonly #chats = new Map<string, Chat>()
  readonly #entries = new Map<string, Entry[]>()

  constructor(durable = false) {
    this.durable = durable
  }

  chats(): Promise<Chat[]> {
    return Promise.resolve([...this.#chats.values()])
  }

  entries(chatId: string): Promise<Entry[]> {
    return Promise.resolve([...(this.#entries.get(chatId) ?? [])])
  }

  putChat(chat: Chat): Promise<void> {
    this.#chats.set(chat.id, chat)
    return Promise.resolve()
  }

  putEntry(chatId: string, index: number, entry: Entry): Promise<void> {
    const entries = this.#entries.get(chatId) ?? []
    entries[index] = entry
    this.#entries.set(chatId, entries)
    return Promise.resolve()
  }

  truncate(chatId: string, length: number): Promise<void> {
    this.#entries.set(chatId, (this.#entries.get(chatId) ?? []).slice(0, length))
    return Promise.resolve()
  }

  remove(chatId: string): Promise<void> {
    this.#chats.delete(chatId)
    this.#entries.delete(chatId)
    return Promise.resolve()
  }

  /** Memory is one tab's own. */
  onChange(_listener: (chatId: string) => void): void {}
}
