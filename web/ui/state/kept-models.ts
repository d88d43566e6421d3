/** What the browser keeps of models: the list, and what came of deleting. */
import { signal, type ReadonlySignal } from '@preact/signals'
import { describeError } from '../../../swarm/errors.ts'
import type { KeptDeletion, KeptListing, KeptModel, KeptPort } from './ports.ts'

export interface KeptNews {
  model: KeptModel
  deletion: KeptDeletion
}

export interface KeptModels {
  /** null: not looked yet. 'none': this browser keeps no files for the page. */
  readonly listing: ReadonlySignal<KeptListing | 'none' | null>
  /** What came of the last deletion, until the next. */
  readonly news: ReadonlySignal<KeptNews | null>
  refresh(): Promise<void>
  remove(model: KeptModel): Promise<void>
}

/** `onDeleted`: some of what was kept is gone. */
export function createKeptModels(port: KeptPort, { onDeleted }: { onDeleted: () => void }): KeptModels {
  const listing = signal<KeptListing | 'none' | null>(null)
  const news = signal<KeptNews | null>(null)
  /** An older look that ends late does not show. */
  let look = 0

  const refresh = async (): Promise<void> => {
    look += 1
    const mine = look
    const found = (await port.list()) ?? 'none'
    if (mine === look) listing.value = found
  }
  port.onChange(() => void refresh())
  return {
    listing,
    news,
    refresh,
    async remove(model) {
      news.value = null
      const deletion = await port.delete(model).catch((error: unknown): KeptDeletion => {
        return { outcome: 'partly', freedBytes: 0, leftBytes: model.bytes, reason: describeError(error) }
      })
      news.value = { model, deletion }
      await refresh()
      if (deletion.outcome !== 'in-use') onDeleted()
    },
  }
}
