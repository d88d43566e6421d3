import { describe, expect, test } from 'vitest'
import { SwarmError } from '../../../../../swarm/errors.ts'
import type { DonorState } from '../../../../../web/donor/state.ts'
import { createDonating } from '../../../../../web/ui/state/donating.ts'
import { FakeDonor, fakeDonorPort, TINYTALES } from '../../../../e2e/harness/fakes.ts'

const READY: DonorState = {
  status: 'ready',
  plan: {
    repo: 'tinytales',
    revision: 'r',
    blocks: 8,
    span: { start: 0, end: 2 },
    downloadBytes: 1,
    gpuBytes: 1,
    cachedBytes: 0,
    weights: 'f32',
    adapter: 'a',
    software: false,
    mode: 'load-balancing',
  },
}

describe('donating', () => {
  test('planning starts nothing', async () => {
    const donor = new FakeDonor({ status: 'idle' }, [], { plan: READY })
    const donating = createDonating(fakeDonorPort(donor))
    await donating.plan(TINYTALES)
    expect(donor.calls).toEqual(['plan'])
    expect(donating.state.peek().status).toBe('ready')
  })

  test('one click starts the donor whose plan was shown, and Stop stops it', async () => {
    const donor = new FakeDonor({ status: 'idle' }, [], { plan: READY, stop: { status: 'stopped' } })
    const donating = createDonating(fakeDonorPort(donor))
    await donating.plan(TINYTALES)
    await donating.start(TINYTALES)
    await donating.stop()
    expect(donor.calls).toEqual(['plan', 'start', 'stop'])
    expect(donating.state.peek().status).toBe('stopped')
  })

  test('other choices need another donor and another plan, and the one before is stopped', async () => {
    const made: unknown[] = []
    const donors: FakeDonor[] = []
    const donating = createDonating({
      defaults: { numBlocks: 2 },
      create: (choices) => {
        made.push(choices.numBlocks)
        const donor = new FakeDonor({ status: 'idle' }, [], { plan: READY })
        donors.push(donor)
        return Promise.resolve(donor)
      },
    })
    await donating.plan(TINYTALES)
    await donating.plan(TINYTALES)
    donating.choices.value = { ...donating.choices.peek(), numBlocks: 4 }
    await donating.plan(TINYTALES)
    expect(made).toEqual([2, 4])
    expect(donors.map((donor) => donor.calls)).toEqual([['plan', 'plan', 'stop'], ['plan']])
  })

  test('a donor that cannot be made is a state with the reason, not a rejection', async () => {
    const donating = createDonating({
      defaults: {},
      create: () => Promise.reject(new SwarmError('BAD_OPTION', 'stage without splits')),
    })
    await donating.plan(TINYTALES)
    expect(donating.state.peek()).toMatchObject({ status: 'failed', error: { code: 'BAD_OPTION' } })
  })
})
