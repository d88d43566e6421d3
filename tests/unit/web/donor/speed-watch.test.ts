/** A donor that measures its speed again: what it says then, and when it does not measure. */
import { describe, expect, it } from 'vitest'
import { SwarmError } from '../../../../swarm/errors.ts'
import type { FakeDonor, FakeSwarm } from './fake-swarm.ts'
import { started, swarmOf } from './started-donor.ts'

describe('measures its speed again now and then', () => {
  const HOUR = 3_600_000
  const speedOf = async (swarm: FakeSwarm, donor: FakeDonor, speed: number): Promise<number | undefined> => {
    donor.speed = speed
    await swarm.clock.advance(HOUR)
    return donor.node?.record()?.blockStepsPerSecond
  }

  it('and says what is more than noise, when it stays so', async () => {
    const swarm = swarmOf()
    const speeds = new Map<string, number>()
    const donor = await started(swarm, { numBlocks: 4 }, { speeds, speed: 80 })
    expect(await speedOf(swarm, donor, 64)).toBe(80)
    expect(await speedOf(swarm, donor, 96)).toBe(80)
    expect(donor.measured).toBeGreaterThan(2)
    donor.speeds = [20, 81, 20, 170, 20, 79]
    expect(await speedOf(swarm, donor, 80)).toBe(80)
    expect(donor.speeds).toEqual([])
    donor.speeds = [44, 36]
    expect(await speedOf(swarm, donor, 40)).toBe(40)
    expect(donor.lines(/Measured again: 40.0 block-steps a second in place of 80.0/)).toHaveLength(1)
    expect(donor.donor.state()).toMatchObject({ status: 'serving', throughput: 10 })
    // What a next start begins with.
    expect([...speeds.values()]).toEqual([40])
  })

  it('not while somebody waits for it, nor while it is paused', async () => {
    const swarm = swarmOf()
    const donor = await started(swarm, { numBlocks: 4 }, { speed: 80 })
    donor.node!.active = 1
    expect(await speedOf(swarm, donor, 20)).toBe(80)
    donor.node!.active = 0
    donor.donor.pause()
    expect(await speedOf(swarm, donor, 20)).toBe(80)
    expect(donor.measured).toBe(1)
    donor.donor.resume()
    expect(await speedOf(swarm, donor, 20)).toBe(20)
  })

  it('and a measurement that fails changes nothing', async () => {
    const swarm = swarmOf()
    const donor = await started(swarm, { numBlocks: 4 }, { speed: 80 })
    donor.measureFails = new SwarmError('CACHE_FULL', 'no room')
    expect(await speedOf(swarm, donor, 20)).toBe(80)
    expect(donor.donor.state()).toMatchObject({ status: 'serving' })
    expect(donor.lines(/The speed could not be measured again \(no room\)/).length).toBeGreaterThan(0)
    donor.measureFails = null
    expect(await speedOf(swarm, donor, 20)).toBe(20)
  })

  it('and no more once it has stopped', async () => {
    const swarm = swarmOf()
    const donor = await started(swarm, { numBlocks: 4 }, { speed: 80 })
    await donor.donor.stop()
    await swarm.clock.advance(HOUR)
    expect(donor.measured).toBe(1)
  })
})
