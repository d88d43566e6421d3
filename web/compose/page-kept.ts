/** What this browser keeps of models, told about between the tabs of this origin. */
import { KeptWeights } from '../weights/kept-weights.ts'
import { storageRoom } from '../weights/storage-room.ts'
import type { ModelRef } from '../ui/state/chat-types.ts'
import type { KeptDeletion, KeptListing, KeptPort } from '../ui/state/ports.ts'

const CHANNEL = 'tabswarm-kept'

export class PageKept implements KeptPort {
  readonly weights = new KeptWeights({ root: () => navigator.storage.getDirectory(), locks: navigator.locks })
  readonly #channel = new BroadcastChannel(CHANNEL)
  readonly #listeners = new Set<() => void>()

  constructor() {
    this.#channel.addEventListener('message', () => this.#tell())
  }

  async list(): Promise<KeptListing | null> {
    try {
      return { models: await this.weights.list(), ...(await storageRoom()) }
    } catch {
      // An insecure page, some private windows: there is nothing to show or to delete.
      return null
    }
  }

  async delete(model: ModelRef): Promise<KeptDeletion> {
    const deletion = await this.weights.delete(model)
    this.changed()
    return deletion
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** Here and in the other tabs of this origin. */
  changed(): void {
    this.#channel.postMessage(null)
    this.#tell()
  }

  #tell(): void {
    for (const listener of this.#listeners) listener()
  }
}
