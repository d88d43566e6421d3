/** One donor at a time: what it shows, refuses, keeps and frees. */
import { describe, expect, it } from 'vitest'
import type { DonorDefaults } from '../../../../swarm/app-config.ts'
import { SwarmError } from '../../../../swarm/errors.ts'
import { spanLength, type Span } from '../../../../swarm/span.ts'
import type { DonorPlan, DonorState } from '../../../../web/donor/state.ts'
import type { FakeDonor, FakeDonorOptions } from './fake-swarm.ts'
import { started, swarmOf } from './started-donor.ts'

async function failure(
  defaults: DonorDefaults,
  options: FakeDonorOptions = {},
): Promise<{ code: string; message: string }> {
  const swarm = swarmOf()
  const donor = await started(swarm, defaults, options)
  const state = donor.donor.state()
  if (state.status !== 'failed') throw new Error(`it is ${state.status}`)
  expect(donor.engines.every((engine) => engine.isClosed)).toBe(true)
  expect(donor.donor.log().at(-1)).toMatchObject({ level: 'error' })
  return state.error
}

describe('plan', () => {
  it('says what would be done, loads nothing and joins nothing', async () => {
    const swarm = swarmOf()
    const donor = swarm.donor({ numBlocks: 4 })
    const seen: string[] = []
    donor.donor.onChange(() => seen.push(donor.donor.state().status))
    await donor.donor.plan()
    expect(donor.donor.state()).toMatchObject({
      status: 'ready',
      plan: {
        repo: 'org/model',
        revision: 'c'.repeat(40),
        blocks: 16,
        span: { start: 0, end: 4 },
        downloadBytes: 60,
        cachedBytes: 40,
        weights: 'f32',
        adapter: 'fake adapter',
        backend: 'software',
        backendReason: 'asked',
        mode: 'load-balancing',
      },
    })
    expect(seen).toEqual(['planning', 'ready'])
    expect(donor.loads).toEqual([])
    expect(donor.node).toBeNull()
  })

  it('planned twice holds one GPU, and stopping frees it', async () => {
    const donor = swarmOf().donor({})
    await donor.donor.plan()
    await donor.donor.plan()
    expect(donor.engines.map((engine) => engine.isClosed)).toEqual([true, false])
    await donor.donor.stop()
    expect(donor.engines.map((engine) => engine.isClosed)).toEqual([true, true])
    expect(donor.donor.state()).toEqual({ status: 'stopped' })
  })

  it('without num_blocks takes what fits the memory', async () => {
    const whole = swarmOf().donor({})
    await whole.donor.plan()
    expect(whole.donor.state()).toMatchObject({ plan: { span: { start: 0, end: 16 } } })
    const small = swarmOf().donor({ memoryGb: 0.005 })
    await small.donor.plan()
    const state = small.donor.state()
    const plan = state.status === 'ready' ? state.plan : null
    expect(plan?.span.end).toBeLessThan(16)
    expect(plan?.gpuBytes).toBeLessThanOrEqual(0.005e9)
  })
})

describe('another budget', () => {
  const planOf = (donor: FakeDonor): DonorPlan => {
    const state = donor.donor.state()
    if (state.status !== 'ready') throw new Error(`it is ${state.status}`)
    return state.plan
  }

  it('sizes the plan that stands: the same GPU, nothing joined, and the same figures as a plan made for it', async () => {
    const donor = swarmOf().donor({})
    await donor.donor.plan()
    const whole = planOf(donor)
    await donor.donor.resize(5_000_000)
    const small = planOf(donor)
    expect(small.span.end).toBeLessThan(whole.span.end)
    expect(small.gpuBytes).toBeLessThanOrEqual(5_000_000)
    expect(small.memory.budgetBytes).toBe(5_000_000)
    const fresh = swarmOf().donor({ memoryGb: 0.005 })
    await fresh.donor.plan()
    expect(planOf(fresh)).toEqual(small)
    await donor.donor.resize(null)
    expect(planOf(donor)).toEqual(whole)
    expect(donor.engines).toHaveLength(1)
    expect(donor.node).toBeNull()
  })

  it('the last of several counts, and a start right after it takes no more than that', async () => {
    const swarm = swarmOf()
    const donor = swarm.donor({})
    await donor.donor.plan()
    void donor.donor.resize(20_000_000)
    void donor.donor.resize(8_000_000)
    void donor.donor.resize(5_000_000)
    void donor.donor.start()
    await swarm.clock.until(() => donor.donor.state().status === 'serving', 60_000)
    const state = donor.donor.state()
    expect(state.status === 'serving' ? state.plan.memory.budgetBytes : null).toBe(5_000_000)
    const fresh = swarmOf().donor({ memoryGb: 0.005 })
    await fresh.donor.plan()
    expect(donor.loads.map(spanLength)).toEqual([spanLength(planOf(fresh).span)])
  })

  it('one that holds nothing is a sentence, and starts nothing', async () => {
    const swarm = swarmOf()
    const donor = swarm.donor({})
    await donor.donor.plan()
    void donor.donor.resize(1_000)
    void donor.donor.start()
    await swarm.clock.advance(30_000)
    expect(donor.donor.state()).toMatchObject({ status: 'failed', error: { code: 'OUT_OF_MEMORY' } })
    expect(donor.loads).toEqual([])
    expect(donor.engines.map((engine) => engine.isClosed)).toEqual([true])
  })
})

describe('memory that turns out to be less than the budget', () => {
  const loadFails = (span: Span) =>
    spanLength(span) > 8 ? new SwarmError('OUT_OF_MEMORY', 'the GPU has no memory left for block 3') : null

  it('makes the span shorter until it fits', async () => {
    const swarm = swarmOf()
    const donor = swarm.donor({}, { loadFails })
    void donor.donor.start()
    await swarm.clock.until(() => donor.donor.state().status === 'serving', 60_000)
    expect(donor.loads.map(spanLength)).toEqual([16, 12, 9, 6])
    expect(donor.lines(/no memory left for block 3\. This tab tries 6 blocks instead\./)).toHaveLength(1)
    expect(donor.node?.record()).toMatchObject({ state: 'online', maxBlocks: 6, span: donor.loads.at(-1) })
  })

  it.each([
    ['a number of blocks that a person named', { numBlocks: 12 }],
    ['fixed blocks', { splits: '4', stage: 1 }],
  ] satisfies [string, DonorDefaults][])('is refused for %s', async (_, defaults) => {
    expect((await failure(defaults, { loadFails })).code).toBe('OUT_OF_MEMORY')
  })

  it('is refused where even one block does not fit', async () => {
    const never = () => new SwarmError('OUT_OF_MEMORY', 'the GPU has no memory left')
    expect((await failure({}, { loadFails: never })).code).toBe('OUT_OF_MEMORY')
  })
})

describe('what a donor refuses', () => {
  it.each([
    [{ splits: '8,4', stage: 0 }, 'BAD_OPTION', /not ascending/],
    [{ splits: '8' }, 'BAD_OPTION', /without stage/],
    [{ splits: '8,16', stage: 0 }, 'BAD_OPTION', /splits has 16/],
    [{ totalBlocks: 32 }, 'BAD_OPTION', /config says 16/],
    [{ numBlocks: 17 }, 'BAD_OPTION', /only 16 blocks/],
    [{ numBlocks: 0 }, 'BAD_OPTION', /num_blocks is 0/],
    [
      { numBlocks: 16, memoryGb: 0.001 },
      'OUT_OF_MEMORY',
      /16 blocks in int4 take .* GB, and this tab may use 0\.001 GB/,
    ],
    [{ numBlocks: 16, memoryGb: 0.004, weights: 'f32' }, 'OUT_OF_MEMORY', /16 blocks in f32/],
  ] satisfies [DonorDefaults, string, RegExp][])('%j', async (defaults, code, sentence) => {
    const error = await failure(defaults)
    expect(error.code).toBe(code)
    expect(error.message).toMatch(sentence)
  })

  it('an identity that another tab holds', async () => {
    expect((await failure({}, { identityTaken: true })).code).toBe('IDENTITY_TAKEN')
  })

  it('a model whose weights cannot be loaded: the sentence is the loader’s', async () => {
    const loadFails = () => new SwarmError('BAD_SAFETENSORS', 'model.safetensors: broken')
    expect(await failure({}, { loadFails })).toMatchObject({
      code: 'BAD_SAFETENSORS',
      message: 'model.safetensors: broken',
    })
  })
})

describe('serving', () => {
  it('fixed mode serves its stage, says so, and never checks the balance', async () => {
    const swarm = swarmOf()
    const donor = await started(swarm, { splits: '4,12', stage: 1, meanBalanceCheckPeriod: 1 })
    await swarm.clock.advance(30_000)
    expect(donor.servedSpan()).toEqual({ start: 4, end: 12 })
    expect(donor.printed).toEqual([
      'Computing with WebGPU (fake adapter): as asked for.',
      'Selected blocks: [4, 5, 6, 7, 8, 9, 10, 11]',
      'P2P initialized for Fixed mode server, PeerID: peer-00',
      'Fixed mode server ready, blocks=[4, 5, 6, 7, 8, 9, 10, 11], throughput=12.50 rps',
    ])
    expect(donor.node?.record()).toMatchObject({ state: 'online', fixed: true, span: { start: 4, end: 12 } })
  })

  it('its record says what it can do; its state what it does', async () => {
    const swarm = swarmOf()
    const donor = await started(swarm, { numBlocks: 4, simulateSpeed: 60 })
    expect(donor.node?.record()).toMatchObject({
      blockStepsPerSecond: 60,
      simulated: 60,
      maxBlocks: 4,
      weights: 'f32',
      backend: 'software',
      model: { repo: 'org/model', blocks: 16 },
    })
    expect(donor.printed.at(-1)).toMatch(/throughput=15\.00 rps$/)
    donor.node!.sessions = 2
    await swarm.clock.advance(1_500)
    expect(donor.donor.state()).toMatchObject({
      status: 'serving',
      throughput: 15,
      moving: null,
      stats: { sessions: 2, bytesFetched: 7 },
    })
    expect(donor.node?.record()?.sessions).toBe(2)
  })

  it('measures its speed once and remembers it', async () => {
    const speeds = new Map<string, number>()
    const first = await started(swarmOf(), { numBlocks: 4 }, { speeds, speed: 80 })
    const second = await started(swarmOf(), { numBlocks: 4 }, { speeds, speed: 999 })
    const longer = await started(swarmOf(), { numBlocks: 8 }, { speeds, speed: 70 })
    expect([first.measured, second.measured, longer.measured]).toEqual([1, 0, 1])
    expect(second.printed.at(-1)).toMatch(/throughput=20\.00 rps$/)
  })

  it('measures again what it remembers when its kernels were chosen anew, and remembers that', async () => {
    const speeds = new Map<string, number>()
    await started(swarmOf(), { numBlocks: 4 }, { speeds, speed: 80 })
    const tuned = await started(swarmOf(), { numBlocks: 4 }, { speeds, speed: 160, isTuned: true })
    const after = await started(swarmOf(), { numBlocks: 4 }, { speeds, speed: 999 })
    expect([tuned.measured, after.measured]).toEqual([1, 0])
    expect(after.printed.at(-1)).toMatch(/throughput=40\.00 rps$/)
  })

  it('shows each phase on the way', async () => {
    const swarm = swarmOf()
    const donor = swarm.donor({ numBlocks: 4 })
    const seen = new Set<string>()
    donor.donor.onChange(() => seen.add(describeState(donor.donor.state())))
    void donor.donor.start()
    await swarm.clock.until(() => donor.servedSpan() !== null, 30_000)
    expect([...seen]).toEqual(['planning', 'loading choose', 'loading download', 'loading measure', 'serving'])
  })

  it('stop says goodbye, frees the GPU and can be started again', async () => {
    const swarm = swarmOf()
    const donor = await started(swarm)
    const watcher = await started(swarm)
    const stopped = donor.donor.stop()
    expect(donor.donor.state().status).toBe('stopping')
    await stopped
    await swarm.clock.advance(100)
    expect(donor.donor.state()).toEqual({ status: 'stopped' })
    expect(watcher.node?.directory.records('').map((record) => record.peerId)).toEqual([watcher.id])
    expect(donor.engines.every((engine) => engine.isClosed)).toBe(true)
    void donor.donor.start()
    await swarm.clock.until(() => donor.servedSpan() !== null, 30_000)
  })

  it('stop while loading ends the download and leaves nothing', async () => {
    const swarm = swarmOf()
    const donor = swarm.donor({})
    void donor.donor.start()
    await swarm.clock.until(() => donor.loads.length > 0, 30_000)
    await donor.donor.stop()
    await swarm.clock.advance(20_000)
    expect(donor.donor.state()).toEqual({ status: 'stopped' })
    expect(donor.engines.every((engine) => engine.isClosed)).toBe(true)
    expect(swarm.nodes.size).toBe(0)
  })

  it('a frozen page is left out of routes until it is back', async () => {
    const swarm = swarmOf()
    const donor = await started(swarm)
    const watcher = await started(swarm)
    const stateOf = () => watcher.node?.directory.get(donor.id)?.state
    donor.pageEvent('freeze')
    await swarm.clock.advance(100)
    expect(stateOf()).toBe('gone')
    donor.pageEvent('resume')
    await swarm.clock.advance(100)
    expect(stateOf()).toBe('online')
  })
})

describe('the canary', () => {
  it('a device that computes wrongly is a sentence, and never serves', async () => {
    const swarm = swarmOf()
    const checkFails = () => new SwarmError('WRONG_RESULTS', 'this device computes wrongly', { action: 'Update it.' })
    const donor = swarm.donor({ numBlocks: 4 }, { checkFails })
    const states: (string | undefined)[] = []
    donor.donor.onChange(() => states.push(donor.node?.record()?.state))
    void donor.donor.start()
    await swarm.clock.until(() => donor.donor.state().status === 'failed', 60_000)
    expect(donor.donor.state()).toMatchObject({
      error: { code: 'WRONG_RESULTS', message: 'this device computes wrongly', action: 'Update it.' },
    })
    expect(states).not.toContain('online')
    expect(donor.measured).toBe(0)
    expect(donor.engines.map((engine) => engine.isClosed)).toEqual([true])
  })

  it('runs after every load, and again where the GPU was opened anew', async () => {
    const swarm = swarmOf()
    const donor = await started(swarm, { numBlocks: 4 })
    expect(donor.checked).toBe(1)
    expect(donor.node?.record()?.exact).toBe(true)
    donor.engines[0]?.lose('driver reset')
    await swarm.clock.advance(10_000)
    expect(donor.node?.record()?.state).toBe('online')
    expect(donor.checked).toBe(2)
  })

  it('a device that computes wrongly after a rebuild stops, and says so', async () => {
    const swarm = swarmOf()
    let checks = 0
    const checkFails = () => (++checks === 2 ? new SwarmError('WRONG_RESULTS', 'this device computes wrongly') : null)
    const donor = await started(swarm, { numBlocks: 4 }, { checkFails })
    donor.engines[0]?.lose('driver reset')
    await swarm.clock.advance(10_000)
    expect(donor.donor.state()).toMatchObject({ status: 'failed', error: { code: 'WRONG_RESULTS' } })
    expect(swarm.nodes.size).toBe(0)
  })

  it('bits that depend on how rows come are said in the record and in the log', async () => {
    const donor = await started(swarmOf(), { numBlocks: 4 }, { exact: false })
    expect(donor.node?.record()?.exact).toBe(false)
    expect(donor.lines(/change in their last bits/)).toHaveLength(1)
  })
})

describe('a lost GPU', () => {
  it('is opened again once, with the same blocks; the second loss is final and says why', async () => {
    const swarm = swarmOf()
    const donor = await started(swarm, { numBlocks: 4 })
    donor.engines[0]?.lose('driver reset')
    await swarm.clock.advance(100)
    expect(donor.node?.record()?.state).toBe('joining')
    await swarm.clock.advance(10_000)
    expect(donor.servedSpan()).toEqual({ start: 0, end: 4 })
    expect(donor.node?.record()?.state).toBe('online')
    expect(donor.lines(/server ready/)).toHaveLength(2)
    expect(donor.engines.map((engine) => engine.isClosed)).toEqual([true, false])
    expect(donor.node?.served()).toEqual([{ start: 0, end: 4 }])

    donor.engines[1]?.lose('driver reset')
    await swarm.clock.advance(10_000)
    expect(donor.donor.state()).toMatchObject({ status: 'failed', error: { code: 'GPU_LOST', message: /lost again/ } })
    expect(swarm.nodes.size).toBe(0)
  })

  it('while loading counts as well', async () => {
    let losses = 1
    const loadFails = () => (losses-- > 0 ? new SwarmError('GPU_LOST', 'device lost') : null)
    const donor = await started(swarmOf(), { numBlocks: 4 }, { loadFails })
    expect(donor.servedSpan()).toEqual({ start: 0, end: 4 })
    expect(donor.engines).toHaveLength(2)
  })
})

describe('moving', () => {
  /** Two hold 0:8, as the published rule has it, and the only holder of 8:16 leaves: the first must move. */
  async function withHole(first: DonorDefaults, options: FakeDonorOptions = {}) {
    const swarm = swarmOf()
    const asked = { numBlocks: 8, rule: 'petals' } as const
    const mover = await started(swarm, { ...asked, ...first }, options)
    const other = await started(swarm, asked)
    const replica = await started(swarm, asked)
    expect(swarm.spans()).toEqual(['0:8', '8:16', '0:8'])
    other.vanish()
    return { swarm, mover, replica }
  }

  it('where memory holds one span only, drops the old one first and says so', async () => {
    const { swarm, mover } = await withHole({ memoryGb: 0.008 })
    await swarm.clock.advance(10_000)
    expect(mover.servedSpan()).toEqual({ start: 8, end: 16 })
    expect(mover.printed).toContain(
      'Memory holds one span at a time: the old blocks are dropped first, other tabs serve them.',
    )
  })

  it('a load that fails leaves it where it was, and the next in line goes', async () => {
    let loads = 0
    const loadFails = () => (++loads === 2 ? new SwarmError('HUB_CUT', 'the hub cut the connection') : null)
    const { swarm, mover, replica } = await withHole({}, { loadFails })
    await swarm.clock.advance(30_000)
    expect(mover.servedSpan()).toEqual({ start: 0, end: 8 })
    expect(mover.printed).toContain(
      'Stays with its blocks: the others could not be loaded (the hub cut the connection).',
    )
    expect(mover.node?.record()).not.toHaveProperty('next')
    expect(replica.servedSpan()).toEqual({ start: 8, end: 16 })
    expect(swarm.missing()).toEqual([])
  })

  it('a device that is found to compute wrongly then serves its old blocks no longer', async () => {
    let checks = 0
    const checkFails = () => (++checks === 2 ? new SwarmError('WRONG_RESULTS', 'this device computes wrongly') : null)
    const { swarm, mover } = await withHole({}, { checkFails })
    await swarm.clock.until(() => mover.donor.state().status === 'failed', 60_000)
    expect(mover.donor.state()).toMatchObject({ error: { code: 'WRONG_RESULTS' } })
    expect(swarm.nodes.size).toBe(1)
  })

  it('stop in the middle of a move ends it', async () => {
    const { swarm, mover, replica } = await withHole({})
    await swarm.clock.until(() => mover.loads.length === 2, 10_000)
    await mover.donor.stop()
    expect(mover.donor.state()).toEqual({ status: 'stopped' })
    await swarm.clock.advance(30_000)
    // The one that is left is the last holder of its own blocks.
    expect(replica.servedSpan()).toEqual({ start: 0, end: 8 })
  })

  it('answers under way on the old blocks end there, unless that takes too long', async () => {
    const { swarm, mover } = await withHole({})
    if (mover.node !== null) mover.node.active = 1
    await swarm.clock.until(() => mover.servedSpan()?.start === 8, 10_000)
    expect(mover.node?.record()).toMatchObject({ state: 'online', span: { start: 8, end: 16 } })
    await swarm.clock.advance(50_000)
    expect(mover.node?.retired).toEqual([])
    await swarm.clock.advance(15_000)
    expect(mover.node?.retired).toEqual([{ start: 0, end: 8 }])
    expect(mover.engines[0]?.disposed).toEqual([{ start: 0, end: 8 }])
  })

  it.each(['stop', 'pause'] as const)('%s ends the wait for answers on the old blocks', async (cause) => {
    const { swarm, mover } = await withHole({})
    if (mover.node !== null) mover.node.active = 1
    await swarm.clock.until(() => mover.servedSpan()?.start === 8, 10_000)
    void mover.donor[cause]()
    await swarm.clock.advance(5_000)
    expect(mover.node?.retired).toEqual([{ start: 0, end: 8 }])
  })

  it('a hole elsewhere ends the wait for answers on the old blocks: the donor may be needed there', async () => {
    const swarm = swarmOf(24)
    const asked = { numBlocks: 8, rule: 'petals' } as const
    const [mover, other] = [await started(swarm, asked), await started(swarm, asked)]
    const last = await started(swarm, { splits: '8,16', stage: 2 })
    await started(swarm, { splits: '8,16', stage: 0 })
    other.vanish()
    if (mover.node !== null) mover.node.active = 1
    await swarm.clock.until(() => mover.servedSpan()?.start === 8, 10_000)
    last.vanish()
    await swarm.clock.advance(5_000)
    expect(mover.node?.retired).toEqual([{ start: 0, end: 8 }])
  })

  it('goes back to blocks that lost their other holder while answers end there, without loading them', async () => {
    const { swarm, mover, replica } = await withHole({})
    if (mover.node !== null) mover.node.active = 1
    await swarm.clock.until(() => mover.servedSpan()?.start === 8, 10_000)
    await started(swarm, { splits: '8', stage: 1 })
    replica.vanish()
    await swarm.clock.until(() => swarm.missing().length === 0, 2_000)
    expect(mover.servedSpan()).toEqual({ start: 0, end: 8 })
    expect(mover.node?.record()).toMatchObject({ state: 'online', span: { start: 0, end: 8 } })
    expect(mover.node?.record()).not.toHaveProperty('next')
    expect(mover.loads).toHaveLength(2)
    const from = mover.printed.indexOf('Blocks 0–7 have lost their other holder, and are still loaded here.')
    expect(mover.printed[from + 1]).toMatch(/^Load Balancing server ready, blocks=\[0, .*, 7\]/)
    // Answers on the other blocks end there in their turn.
    expect(mover.node?.retired).toEqual([])
    if (mover.node !== null) mover.node.active = 0
    await swarm.clock.advance(1_000)
    expect(mover.node?.retired).toEqual([{ start: 8, end: 16 }])
    expect(mover.engines[0]?.disposed).toEqual([{ start: 8, end: 16 }])
  })

  it('where it is the last holder of the new blocks too, what runs on the old ones goes on', async () => {
    const { swarm, mover, replica } = await withHole({})
    if (mover.node !== null) mover.node.active = 1
    await swarm.clock.until(() => mover.servedSpan()?.start === 8, 10_000)
    replica.vanish()
    await swarm.clock.advance(5_000)
    expect(mover.servedSpan()).toEqual({ start: 8, end: 16 })
    expect(mover.printed).toContain('Stays with its blocks: only this tab serves blocks 8–15.')
    expect(mover.node?.retired).toEqual([])
    await swarm.clock.advance(60_000)
    expect(mover.node?.retired).toEqual([{ start: 0, end: 8 }])
  })

  it('where memory holds one span only, stays when the others are lost before the old one is dropped', async () => {
    const swarm = swarmOf()
    const asked = { numBlocks: 8, memoryGb: 0.008, meanBalanceCheckPeriod: 5, rule: 'petals' } as const
    const mover = await started(swarm, asked)
    if (mover.node !== null) mover.node.active = 1
    await started(swarm, { splits: '8', stage: 1 })
    const replicas: FakeDonor[] = []
    for (let i = 0; i < 3; i += 1) replicas.push(await started(swarm, { splits: '8', stage: 0 }))
    await swarm.clock.until(() => mover.printed.some((line) => line.startsWith('Memory holds one')), 60_000)
    await swarm.clock.advance(1_000)
    expect(mover.node?.record()).toMatchObject({ state: 'joining', span: { start: 8, end: 16 } })
    for (const replica of replicas) replica.vanish()
    await swarm.clock.advance(2_000)
    expect(mover.servedSpan()).toEqual({ start: 0, end: 8 })
    expect(mover.node?.record()).toMatchObject({ state: 'online', span: { start: 0, end: 8 } })
    expect(mover.node?.served()).toEqual([{ start: 0, end: 8 }])
    expect(mover.printed).toContain('Stays with its blocks: they have lost their other holder.')
    expect(mover.loads).toHaveLength(1)
  })

  it('the replica leaving during the move keeps the mover where it is needed', async () => {
    const { swarm, mover, replica } = await withHole({})
    await swarm.clock.until(() => mover.loads.length === 2, 10_000)
    replica.vanish()
    await swarm.clock.advance(20_000)
    expect(mover.servedSpan()).toEqual({ start: 0, end: 8 })
    expect(mover.printed).toContain('Stays with its blocks: blocks 0–7 lost their other holder meanwhile.')
    expect(mover.engines[0]?.disposed).toEqual([{ start: 8, end: 16 }])
  })
})

function describeState(state: DonorState): string {
  return state.status === 'loading' ? `loading ${state.progress.phase}` : state.status
}
