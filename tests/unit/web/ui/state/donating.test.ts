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
    backend: 'webgpu',
    backendReason: 'gpu',
    mode: 'load-balancing',
    memory: { budgetBytes: 20_000_000, leastBytes: 6_500_000, mostBytes: 36_500_000, stepBytes: 500_000 },
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

  test('Pause, Resume and Finish are the running donor’s, and nobody’s before there is one', async () => {
    const donor = new FakeDonor({ status: 'idle' }, [], { plan: READY })
    const donating = createDonating(fakeDonorPort(donor))
    donating.pause()
    await donating.plan(TINYTALES)
    donating.pause()
    donating.resume()
    donating.finish()
    expect(donor.calls).toEqual(['plan', 'pause', 'resume', 'finish'])
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

  test('another budget sizes the plan that stands; the donor that was sized is the one that starts', async () => {
    const made: unknown[] = []
    const donors: FakeDonor[] = []
    const donating = createDonating({
      defaults: {},
      create: ({ memoryGb }) => {
        made.push(memoryGb)
        donors.push(new FakeDonor({ status: 'idle' }, [], { plan: READY }))
        return Promise.resolve(donors.at(-1) as FakeDonor)
      },
    })
    await donating.plan(TINYTALES)
    await donating.resize(TINYTALES, 0.012)
    expect(donating.memoryGb.value).toBe(0.012)
    await donating.resize(TINYTALES, null)
    await donating.start(TINYTALES)
    expect(made).toEqual([null])
    expect(donors[0]?.calls).toEqual(['plan', 'resize 12000000', 'resize null', 'start'])
    expect(donating.lastPlan.value).toEqual(READY.status === 'ready' ? READY.plan : null)
  })

  test('without a plan that stands another budget makes a new one', async () => {
    const made: unknown[] = []
    const donating = createDonating({
      defaults: { memoryGb: 4 },
      create: ({ memoryGb }) => {
        made.push(memoryGb)
        return Promise.resolve(new FakeDonor({ status: 'idle' }, [], { plan: READY }))
      },
    })
    await donating.resize(TINYTALES, 2)
    donating.forgetPlan()
    await donating.resize(TINYTALES, 3)
    expect(made).toEqual([2, 3])
    expect(donating.state.value.status).toBe('ready')
  })
})
