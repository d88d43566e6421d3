/** Pause, Finish and Stop of one donor among others: in the middle of a move, without a GPU, frozen, and with sessions. */
import { describe, expect, it } from 'vitest'
import type { DonorDefaults } from '../../../../swarm/app-config.ts'
import { SwarmError } from '../../../../swarm/errors.ts'
import { FINISH_LIMIT_MS } from '../../../../web/donor/finishing.ts'
import type { DonorState } from '../../../../web/donor/state.ts'
import type { FakeDonor, FakeSwarm } from './fake-swarm.ts'
import { started, swarmOf } from './started-donor.ts'

function serving(donor: FakeDonor): Extract<DonorState, { status: 'serving' }> {
  const state = donor.donor.state()
  if (state.status !== 'serving') throw new Error(`it is ${state.status}`)
  return state
}

async function until(swarm: FakeSwarm, donor: FakeDonor, duty: string, limitMs = 20_000): Promise<void> {
  await swarm.clock.until(() => serving(donor).duty === duty, limitMs)
}

/** What another peer reads of it, once everything sent has arrived. */
async function seen(swarm: FakeSwarm, watcher: FakeDonor, donor: FakeDonor): Promise<string | undefined> {
  await swarm.clock.advance(100)
  return watcher.node?.directory.get(donor.id)?.state
}

/** Every state that a peer was told of a donor from now on. */
function told(watcher: FakeDonor, donor: FakeDonor): Set<string | undefined> {
  const states = new Set<string | undefined>()
  watcher.node?.directory.onChange(() => states.add(watcher.node?.directory.get(donor.id)?.state))
  return states
}

describe('pause', () => {
  it('refuses sessions, hands over those that run, keeps the blocks, and is back at once', async () => {
    const swarm = swarmOf()
    const donor = await started(swarm)
    const watcher = await started(swarm)
    await swarm.clock.advance(100)
    donor.node!.sessions = 2
    donor.donor.pause()
    expect(serving(donor).duty).toBe('pausing')
    // Another tab holds the same blocks, and says in time that it stays.
    await swarm.clock.until(() => donor.node?.refusal !== null, 500)
    expect(donor.node?.refusal).toBe('is paused by its owner')
    await until(swarm, donor, 'paused')
    expect(donor.node?.handedOver).toEqual(['is paused by its owner'])
    expect(serving(donor)).toMatchObject({ pausedBy: 'owner', isLoaded: true, onlyHere: [], stats: { sessions: 0 } })
    expect(await seen(swarm, watcher, donor)).toBe('leaving')
    expect(donor.engines[0]?.disposed).toEqual([])

    const loads = donor.loads.length
    donor.donor.resume()
    await swarm.clock.advance(0)
    expect(serving(donor)).toMatchObject({ duty: 'serving', pausedBy: null })
    expect(donor.node?.refusal).toBeNull()
    expect(await seen(swarm, watcher, donor)).toBe('online')
    expect(donor.loads).toHaveLength(loads)
    expect(donor.printed.slice(-4)).toEqual([
      expect.stringMatching(/server ready/),
      'Paused by its owner.',
      'Takes no sessions and computes nothing. Blocks 0–15 stay on the GPU.',
      'Serves again: blocks 0–15.',
    ])
  })

  it('says whose blocks nobody else serves, before it and in the log', async () => {
    const swarm = swarmOf()
    const donor = await started(swarm, { numBlocks: 8 })
    await swarm.clock.advance(1_500)
    expect(serving(donor).onlyHere).toEqual([0, 1, 2, 3, 4, 5, 6, 7])
    donor.donor.pause()
    await until(swarm, donor, 'paused')
    expect(donor.printed).toContain('Nobody else serves blocks 0–7: answers wait until somebody does.')
    expect(donor.lines(/^Missing blocks/)).toHaveLength(1)
  })

  it('others take the blocks of a paused tab, and it finds its place when it is back', async () => {
    const swarm = swarmOf()
    const paused = await started(swarm, { numBlocks: 8 })
    const other = await started(swarm, { numBlocks: 8 })
    const replica = await started(swarm, { numBlocks: 8 })
    expect(swarm.spans()).toEqual(['0:8', '8:16', '4:12'])
    other.donor.pause()
    await swarm.clock.advance(20_000)
    expect(swarm.missing()).toEqual([])
    const spans = [paused, replica].map((donor) => serving(donor).span.start).toSorted((a, b) => a - b)
    expect(spans).toEqual([0, 8])
    other.donor.resume()
    expect(await seen(swarm, paused, other)).toBe('online')
    expect(swarm.missing()).toEqual([])
    expect(swarm.holesOpened).toEqual([])
  })

  it('a frozen page that wakes up while paused stays away', async () => {
    const swarm = swarmOf()
    const donor = await started(swarm)
    const watcher = await started(swarm)
    donor.donor.pause()
    await until(swarm, donor, 'paused')
    await swarm.clock.advance(100)
    donor.pageEvent('freeze')
    const states = told(watcher, donor)
    // Records overtake each other.
    await swarm.clock.advance(5_000)
    donor.pageEvent('resume')
    await swarm.clock.advance(5_000)
    expect([...states]).toEqual(['gone', 'leaving'])
    donor.donor.resume()
    expect(await seen(swarm, watcher, donor)).toBe('online')
  })

  it('resumed before it is complete, it goes on serving', async () => {
    const swarm = swarmOf()
    const donor = await started(swarm)
    const watcher = await started(swarm)
    donor.donor.pause()
    donor.donor.resume()
    await until(swarm, donor, 'serving')
    await swarm.clock.advance(1_000)
    expect(serving(donor)).toMatchObject({ duty: 'serving', pausedBy: null })
    expect(donor.node?.refusal).toBeNull()
    expect(await seen(swarm, watcher, donor)).toBe('online')
    expect(donor.lines(/computes nothing/)).toEqual([])
  })

  it('does nothing before anything is served and after the end', async () => {
    const swarm = swarmOf()
    const donor = swarm.donor({})
    donor.donor.pause()
    void donor.donor.start()
    await swarm.clock.until(() => donor.loads.length > 0, 30_000)
    donor.donor.pause()
    donor.donor.finish()
    await swarm.clock.until(() => donor.servedSpan() !== null, 30_000)
    expect(serving(donor).duty).toBe('serving')
    await donor.donor.stop()
    donor.donor.pause()
    donor.donor.resume()
    donor.donor.finish()
    expect(donor.donor.state()).toEqual({ status: 'stopped' })
  })

  it('a paused tab that is stopped is gone', async () => {
    const swarm = swarmOf()
    const donor = await started(swarm)
    donor.donor.pause()
    await until(swarm, donor, 'paused')
    await donor.donor.stop()
    expect(donor.donor.state()).toEqual({ status: 'stopped' })
    expect(swarm.nodes.size).toBe(0)
    expect(donor.engines.every((engine) => engine.isClosed)).toBe(true)
  })
})

describe('in the middle of a move', () => {
  /** Two hold 0:8, the only holder of 8:16 leaves: the first is on its way there. */
  async function moving(first: DonorDefaults = {}) {
    const swarm = swarmOf()
    const mover = await started(swarm, { numBlocks: 8, ...first })
    const other = await started(swarm, { numBlocks: 8 })
    const watcher = await started(swarm, { splits: '8', stage: 0 })
    expect(swarm.spans()).toEqual(['0:8', '8:16', '0:8'])
    other.vanish()
    await swarm.clock.until(() => mover.loads.length === 2, 10_000)
    // What it has announced is with the others.
    await swarm.clock.advance(100)
    return { swarm, mover, watcher }
  }

  it('where both spans fit, pause ends the load and takes the claim back', async () => {
    const { swarm, mover, watcher } = await moving()
    const claimedBefore = mover.node?.record()?.claimedAt
    expect(mover.node?.record()).toHaveProperty('next')
    const states = told(watcher, mover)
    mover.donor.pause()
    await until(swarm, mover, 'paused')
    await swarm.clock.advance(20_000)
    expect(mover.node?.record()).not.toHaveProperty('next')
    expect(mover.node?.record()?.claimedAt).toBeLessThan(claimedBefore as number)
    // Online while it asks the other holder to stay.
    expect([...states]).toEqual(['online', 'leaving'])
    expect(serving(mover)).toMatchObject({ duty: 'paused', isLoaded: true, moving: null, span: { start: 0, end: 8 } })
    expect(mover.loads).toHaveLength(2)
    // It goes on where it was, and moves then.
    mover.donor.resume()
    await swarm.clock.until(() => serving(mover).span.start === 8, 30_000)
  })

  it('where the old blocks were dropped first, pause ends the load, and resume loads them again', async () => {
    const { swarm, mover, watcher } = await moving({ memoryGb: 0.008 })
    expect(mover.node?.served()).toEqual([])
    const states = told(watcher, mover)
    mover.donor.pause()
    await until(swarm, mover, 'paused')
    await swarm.clock.advance(20_000)
    expect([...states]).toEqual(['leaving'])
    expect(serving(mover)).toMatchObject({ isLoaded: false, moving: null, span: { start: 0, end: 8 } })
    expect(mover.printed.at(-1)).toBe(
      'Takes no sessions and computes nothing. Blocks 0–7 are loaded again when it resumes.',
    )
    expect(mover.loads).toHaveLength(2)

    mover.donor.resume()
    await swarm.clock.advance(0)
    expect(serving(mover).duty).toBe('loading')
    expect(await seen(swarm, watcher, mover)).toBe('joining')
    await until(swarm, mover, 'serving')
    expect(mover.loads[2]).toEqual({ start: 0, end: 8 })
    expect(mover.node?.served()).toEqual([{ start: 0, end: 8 }])
    expect(mover.node?.record()?.state).toBe('online')
    await swarm.clock.until(() => swarm.missing().length === 0, 30_000)
  })

  it('paused again while it loads them, it ends that load too', async () => {
    const { swarm, mover } = await moving({ memoryGb: 0.008 })
    mover.donor.pause()
    await until(swarm, mover, 'paused')
    mover.donor.resume()
    await swarm.clock.until(() => mover.loads.length === 3, 10_000)
    mover.donor.pause()
    await until(swarm, mover, 'paused', 400)
    await swarm.clock.advance(20_000)
    expect(serving(mover)).toMatchObject({ duty: 'paused', isLoaded: false, moving: null })
    expect(mover.node?.served()).toEqual([])
    mover.donor.resume()
    await until(swarm, mover, 'serving')
  })

  it('finish ends the move and stops', async () => {
    const { swarm, mover } = await moving({ memoryGb: 0.008 })
    mover.donor.finish()
    await swarm.clock.until(() => mover.donor.state().status === 'stopped', 5_000)
    expect(mover.loads).toHaveLength(2)
    expect(mover.engines.every((engine) => engine.isClosed)).toBe(true)
  })
})

describe('a GPU that is lost', () => {
  it('while paused: nobody hears of it, nothing is loaded, and resume brings it back', async () => {
    const swarm = swarmOf()
    const donor = await started(swarm, { numBlocks: 8 })
    const watcher = await started(swarm, { numBlocks: 8 })
    donor.donor.pause()
    await until(swarm, donor, 'paused')
    const states = told(watcher, donor)
    donor.engines[0]?.lose('driver reset')
    await swarm.clock.advance(20_000)
    expect([...states]).toEqual(['leaving'])
    expect(serving(donor)).toMatchObject({ duty: 'paused', pausedBy: 'owner', isLoaded: false })
    expect(donor.engines).toHaveLength(1)

    donor.donor.resume()
    await until(swarm, donor, 'serving')
    expect(donor.engines.map((engine) => engine.isClosed)).toEqual([true, false])
    expect(donor.node?.served()).toEqual([{ start: 0, end: 8 }])
    expect(await seen(swarm, watcher, donor)).toBe('online')
  })

  it('in a move that a pause ends in that moment: resume brings both back', async () => {
    const swarm = swarmOf()
    const mover = await started(swarm, { numBlocks: 8 })
    const other = await started(swarm, { numBlocks: 8 })
    await started(swarm, { splits: '8', stage: 0 })
    other.vanish()
    await swarm.clock.until(() => mover.loads.length === 2, 10_000)
    mover.engines[0]?.lose('driver reset')
    mover.donor.pause()
    await until(swarm, mover, 'paused')
    await swarm.clock.advance(5_000)
    expect(serving(mover)).toMatchObject({ duty: 'paused', isLoaded: false })
    mover.donor.resume()
    await swarm.clock.until(() => swarm.missing().length === 0, 30_000)
    expect(mover.engines.map((engine) => engine.isClosed)).toEqual([true, false])
    expect(serving(mover)).toMatchObject({ duty: 'serving', isLoaded: true })
  })

  it('while it is being handed over: the pause is completed first', async () => {
    const swarm = swarmOf()
    const donor = await started(swarm, { numBlocks: 8 })
    donor.donor.pause()
    donor.engines[0]?.lose('driver reset')
    await until(swarm, donor, 'paused')
    await swarm.clock.advance(5_000)
    expect(serving(donor)).toMatchObject({ duty: 'paused', isLoaded: false })
    expect(donor.engines).toHaveLength(1)
  })

  it('paused while it comes back: it stays away, and resume loads the blocks', async () => {
    const swarm = swarmOf()
    const donor = await started(swarm, { numBlocks: 8 })
    const watcher = await started(swarm, { numBlocks: 8 })
    donor.engines[0]?.lose('driver reset')
    await swarm.clock.until(() => donor.loads.length === 2, 5_000)
    expect(serving(donor).duty).toBe('loading')
    donor.donor.pause()
    await until(swarm, donor, 'paused', 400)
    const states = told(watcher, donor)
    await swarm.clock.advance(20_000)
    expect([...states].filter((state) => state !== 'leaving')).toEqual([])
    donor.donor.resume()
    await until(swarm, donor, 'serving')
    expect(donor.loads).toHaveLength(3)
    expect(donor.engines).toHaveLength(2)
  })

  it('that does not come back ends the donor when it resumes, with the reason', async () => {
    let isBroken = false
    const loadFails = () => (isBroken ? new SwarmError('OUT_OF_MEMORY', 'no room on the GPU') : null)
    const swarm = swarmOf()
    const donor = await started(swarm, { numBlocks: 8 }, { loadFails })
    donor.donor.pause()
    await until(swarm, donor, 'paused')
    donor.engines[0]?.lose('driver reset')
    isBroken = true
    await swarm.clock.advance(1_000)
    donor.donor.resume()
    await swarm.clock.until(() => donor.donor.state().status === 'failed', 10_000)
    expect(donor.donor.state()).toMatchObject({ error: { code: 'OUT_OF_MEMORY' } })
    expect(swarm.nodes.size).toBe(0)
  })
})

describe('finish', () => {
  it('without sessions stops at once', async () => {
    const swarm = swarmOf()
    const donor = await started(swarm)
    donor.donor.finish()
    await swarm.clock.until(() => donor.donor.state().status === 'stopped', 500)
    expect(donor.lines(/^Finish/)).toEqual([expect.stringMatching(/^Finishing: no new sessions/), 'Finished.'])
    expect(swarm.nodes.size).toBe(0)
  })

  it('lets those that run come to their end; a session that rests does not hold it', async () => {
    const swarm = swarmOf()
    const donor = await started(swarm)
    const watcher = await started(swarm)
    donor.node!.sessions = 2
    donor.node!.active = 1
    donor.donor.finish()
    await swarm.clock.until(() => donor.node?.refusal !== null, 500)
    expect(donor.node?.refusal).toBe('takes no new sessions: it stops soon')
    await swarm.clock.advance(60_000)
    expect(serving(donor)).toMatchObject({ duty: 'finishing', pausedBy: null })
    expect(donor.node?.handedOver).toEqual([])
    expect(await seen(swarm, watcher, donor)).toBe('leaving')
    donor.node!.active = 0
    await swarm.clock.until(() => donor.donor.state().status === 'stopped', 1_500)
  })

  it('waits for ten minutes at most, and says so', async () => {
    const swarm = swarmOf()
    const donor = await started(swarm)
    donor.node!.sessions = 1
    donor.node!.active = 1
    donor.donor.finish()
    await swarm.clock.advance(FINISH_LIMIT_MS - 5_000)
    expect(serving(donor).duty).toBe('finishing')
    await swarm.clock.advance(6_000)
    expect(donor.donor.state()).toEqual({ status: 'stopped' })
    expect(donor.printed.at(-1)).toMatch(/^Finished: 1 still running after 10 minutes/)
  })

  it('can be taken back, and can be cut short', async () => {
    const swarm = swarmOf()
    const donor = await started(swarm)
    const watcher = await started(swarm)
    donor.node!.active = 1
    donor.donor.finish()
    await swarm.clock.advance(5_000)
    donor.donor.resume()
    expect(await seen(swarm, watcher, donor)).toBe('online')
    donor.node!.active = 0
    await swarm.clock.advance(20_000)
    expect(serving(donor).duty).toBe('serving')

    donor.node!.active = 1
    donor.donor.finish()
    await swarm.clock.advance(1_000)
    await donor.donor.stop()
    expect(donor.donor.state()).toEqual({ status: 'stopped' })
  })

  it('paused instead, it stays', async () => {
    const swarm = swarmOf()
    const donor = await started(swarm)
    donor.node!.active = 1
    donor.donor.finish()
    await swarm.clock.advance(1_000)
    donor.donor.pause()
    await until(swarm, donor, 'paused')
    await swarm.clock.advance(FINISH_LIMIT_MS + 5_000)
    expect(serving(donor).duty).toBe('paused')
  })
})

describe('battery and connection', () => {
  it('pause it with their reason, and it resumes by itself', async () => {
    const swarm = swarmOf()
    const donor = await started(swarm)
    donor.power.set({ onBattery: true })
    await until(swarm, donor, 'paused')
    expect(serving(donor).pausedBy).toBe('battery')
    donor.power.set({ onBattery: false, isMetered: true })
    await swarm.clock.advance(1_500)
    expect(serving(donor)).toMatchObject({ duty: 'paused', pausedBy: 'metered' })
    donor.power.set({ isMetered: false })
    await until(swarm, donor, 'serving')
    expect(serving(donor).pausedBy).toBeNull()
  })

  it('that come while it loads count when it serves', async () => {
    const swarm = swarmOf()
    const donor = swarm.donor({})
    void donor.donor.start()
    await swarm.clock.until(() => donor.loads.length > 0, 30_000)
    donor.power.set({ onBattery: true })
    await swarm.clock.until(() => donor.servedSpan() !== null, 30_000)
    await until(swarm, donor, 'paused')
  })

  it('started on battery, it serves until it has been plugged in once', async () => {
    const swarm = swarmOf()
    const donor = swarm.donor({})
    donor.power.set({ onBattery: true })
    void donor.donor.start()
    await swarm.clock.until(() => donor.servedSpan() !== null, 30_000)
    await swarm.clock.advance(5_000)
    expect(serving(donor).duty).toBe('serving')
    donor.power.set({ onBattery: false })
    donor.power.set({ onBattery: true })
    await until(swarm, donor, 'paused')
  })
})
