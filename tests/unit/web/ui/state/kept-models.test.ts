import { expect, test } from 'vitest'
import { createKeptModels } from '../../../../../web/ui/state/kept-models.ts'
import type { KeptListing } from '../../../../../web/ui/state/ports.ts'
import { FakeKept } from '../../../../e2e/harness/fakes.ts'

const model = { repo: 'tinytales', revision: 'a'.repeat(40), bytes: 10, inUse: false }
const listing: KeptListing = { models: [model], usedBytes: 10, quotaBytes: 100, fate: 'may-go' }

function build(port: FakeKept) {
  let losses = 0
  const kept = createKeptModels(port, { onLess: () => (losses += 1) })
  return { kept, losses: () => losses }
}

test('looks again when something changes here or in another tab', async () => {
  const port = new FakeKept(listing)
  const { kept } = build(port)
  await kept.refresh()
  expect(kept.listing.value).toBe(listing)
  port.listing = null
  port.changed()
  await expect.poll(() => kept.listing.value).toBe('none')
})

test('a plan is counted again when bytes went, here or in another tab, and not otherwise', async () => {
  const port = new FakeKept(listing)
  const { kept, losses } = build(port)
  await kept.refresh()
  port.outcome = { outcome: 'in-use' }
  await kept.remove(model)
  expect([kept.news.value?.deletion.outcome, losses()]).toEqual(['in-use', 0])
  port.listing = { ...listing, models: [{ ...model, bytes: 12 }] }
  await kept.refresh()
  expect(losses()).toBe(0)
  port.outcome = { outcome: 'partly', freedBytes: 4, leftBytes: 8, reason: 'locked' }
  port.listing = { ...listing, models: [{ ...model, bytes: 8 }] }
  await kept.remove(model)
  expect([kept.news.value?.deletion.outcome, losses()]).toEqual(['partly', 1])
  port.listing = { ...listing, models: [] }
  port.changed()
  await expect.poll(losses).toBe(2)
})

test('a browser that throws has deleted nothing, in its own words', async () => {
  const port = new FakeKept(listing)
  port.delete = () => Promise.reject(new Error('no storage'))
  const { kept } = build(port)
  await kept.remove(model)
  expect(kept.news.value?.deletion).toEqual({ outcome: 'partly', freedBytes: 0, leftBytes: 10, reason: 'no storage' })
})

test('an older look that ends late does not show', async () => {
  const port = new FakeKept(listing)
  const { kept } = build(port)
  let answer: (found: KeptListing | null) => void = () => undefined
  port.list = () => new Promise((resolve) => (answer = resolve))
  const slow = kept.refresh()
  const late = answer
  port.list = () => Promise.resolve(null)
  await kept.refresh()
  late(listing)
  await slow
  expect(kept.listing.value).toBe('none')
})
