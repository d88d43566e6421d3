/** A tab that the browser discarded and loaded anew: who goes on donating, and who does not. */
import { signal } from '@preact/signals'
import { expect, test } from 'vitest'
import type { DonorState } from '../../../../../web/donor/state.ts'
import { createAfterDiscard, type AfterDiscard } from '../../../../../web/ui/state/after-discard.ts'
import { createDonating, type Donating } from '../../../../../web/ui/state/donating.ts'
import type { Models } from '../../../../../web/ui/state/models.ts'
import { FakeDonor, TINYTALES } from '../../../../e2e/harness/fakes.ts'

const PLAN = { repo: 'tinytales' } as Extract<DonorState, { status: 'ready' }>['plan']
const READY: DonorState = { status: 'ready', plan: PLAN }

function serving(over: Partial<Extract<DonorState, { status: 'serving' }>> = {}): DonorState {
  return { status: 'serving', plan: PLAN, duty: 'serving', pausedBy: null, ...over } as DonorState
}

class TabStorage {
  readonly values = new Map<string, string>()
  getItem = (key: string): string | null => this.values.get(key) ?? null
  setItem = (key: string, value: string): void => void this.values.set(key, value)
  removeItem = (key: string): void => void this.values.delete(key)
}

interface Visit {
  donating: Donating
  donor: FakeDonor
  asked: unknown[]
  named: string[]
  afterDiscard: AfterDiscard
}

/** One life of the page in the tab. */
function visit(tab: TabStorage, wasDiscarded: boolean, next: Partial<Record<string, DonorState>> = {}): Visit {
  const donor = new FakeDonor({ status: 'idle' }, [], { plan: READY, start: serving(), ...next })
  const asked: unknown[] = []
  const named: string[] = []
  const donating = createDonating({
    defaults: {},
    create: ({ numBlocks, memoryGb }) => {
      asked.push([numBlocks, memoryGb])
      return Promise.resolve(donor)
    },
  })
  const models = { chosen: signal(TINYTALES), name: (text: string) => named.push(text) } as unknown as Models
  const afterDiscard = createAfterDiscard({ wasDiscarded, storage: () => tab as unknown as Storage, donating, models })
  return { donating, donor, asked, named, afterDiscard }
}

async function donated(tab: TabStorage, state: DonorState = serving()): Promise<Visit> {
  const first = visit(tab, false, { start: state })
  first.donating.choices.value = { ...first.donating.choices.peek(), numBlocks: 3 }
  await first.donating.resize(TINYTALES, 2)
  await first.donating.start(TINYTALES)
  expect(first.donating.state.peek().status).toBe(state.status)
  return first
}

const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

test('a tab that donated goes on with what was chosen, and says so', async () => {
  const tab = new TabStorage()
  await donated(tab)
  const second = visit(tab, true)
  expect(second.afterDiscard.goesOn.peek()).toBe(true)
  await settled()
  expect(second.named).toEqual([`${TINYTALES.repo}@${TINYTALES.revision}`])
  expect(second.asked).toEqual([[3, 2]])
  expect(second.donor.calls).toEqual(['plan', 'start'])
  // And once more.
  const third = visit(tab, true)
  await settled()
  expect(third.donor.calls).toEqual(['plan', 'start'])
})

test('a tab that a person reloads starts nothing', async () => {
  const tab = new TabStorage()
  await donated(tab)
  const second = visit(tab, false)
  await settled()
  expect(second.donor.calls).toEqual([])
  expect(second.afterDiscard.goesOn.peek()).toBe(false)
})

test.each([
  ['was paused by hand', serving({ duty: 'paused', pausedBy: 'owner' })],
  ['was finishing', serving({ duty: 'finishing' })],
  ['was stopped', { status: 'stopped' } as DonorState],
  ['had failed', { status: 'failed', error: { code: 'GPU_LOST', message: 'm' } } as DonorState],
])('a tab whose donor %s starts nothing', async (_, state) => {
  const tab = new TabStorage()
  await donated(tab)
  await donated(tab, state)
  const second = visit(tab, true)
  await settled()
  expect(second.donor.calls).toEqual([])
})

test('one that paused because of the battery goes on, and pauses again by itself where that still holds', async () => {
  const tab = new TabStorage()
  await donated(tab, serving({ duty: 'paused', pausedBy: 'battery' }))
  const second = visit(tab, true)
  await settled()
  expect(second.donor.calls).toEqual(['plan', 'start'])
})

test('a plan that fails is shown, and nothing is started', async () => {
  const tab = new TabStorage()
  await donated(tab)
  const second = visit(tab, true, {
    plan: { status: 'failed', error: { code: 'NO_RELAY', message: 'm' } } as DonorState,
  })
  await settled()
  expect(second.donor.calls).toEqual(['plan'])
})

test('a browser that blocks the storage breaks nothing', async () => {
  const blocked = (): never => {
    throw new Error('SecurityError')
  }
  const donor = new FakeDonor({ status: 'idle' }, [], { plan: READY, start: serving() })
  const donating = createDonating({ defaults: {}, create: () => Promise.resolve(donor) })
  const models = { chosen: signal(TINYTALES), name: () => undefined } as unknown as Models
  createAfterDiscard({ wasDiscarded: true, storage: blocked, donating, models })
  await donating.plan(TINYTALES)
  await donating.start(TINYTALES)
  expect(donor.calls).toEqual(['plan', 'start'])
})
