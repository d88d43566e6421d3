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

/** `onLess`: some of what was kept is gone, deleted here or in another tab. */
export function createKeptModels(port: KeptPort, { onLess }: { onLess: () => void }): KeptModels {
  const listing = signal<KeptListing | 'none' | null>(null)
  const news = signal<KeptNews | null>(null)
  /** An older look that ends late does not show. */
  let look = 0

  const refresh = async (): Promise<void> => {
    look += 1
    const mine = look
    const found = (await port.list()) ?? 'none'
    if (mine !== look) return
    const before = listing.peek()
    listing.value = found
    if (hasLess(before, found)) onLess()
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
    },
  }
}

function hasLess(before: KeptListing | 'none' | null, now: KeptListing | 'none'): boolean {
  if (before === null || before === 'none') return false
  const bytesOf = ({ repo, revision }: KeptModel): number =>
    now === 'none' ? 0 : (now.models.find((model) => model.repo === repo && model.revision === revision)?.bytes ?? 0)
  return before.models.some((model) => bytesOf(model) < model.bytes)
}
