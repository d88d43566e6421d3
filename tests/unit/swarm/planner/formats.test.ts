/** A text keeps to one weight format: joiners and moves work towards whole formats, not towards blocks held by anybody. */
import { describe, expect, it } from 'vitest'
import type { WeightFormat } from '../../../../swarm/model/config.ts'
import { unclaimedBlocks } from '../../../../swarm/planner/coverage.ts'
import { flowRule } from '../../../../swarm/planner/flow/flow-rule.ts'
import { formatServed, viewInFormat, withinFormat } from '../../../../swarm/planner/formats.ts'
import { petalsRule } from '../../../../swarm/planner/petals.ts'
import type { PlannerPeer, SwarmView } from '../../../../swarm/planner/types.ts'
import { urgentMoves } from '../../../../swarm/planner/urgent.ts'
import { peer, seededRandom, view } from './support.ts'

const of = (weights: WeightFormat, id: string, start: number, end: number): PlannerPeer =>
  peer(id, start, end, { weights })

describe.each([petalsRule, flowRule('expected')])('the rule $name within formats', (rule) => {
  const join = (swarm: SwarmView, weights: WeightFormat, length: number, peerId = 'new') =>
    withinFormat(rule, weights).chooseSpan(swarm, { peerId, length, blockStepsPerSecond: 100 })

  it('a joiner completes its own format where everybody together covers all, however poor other blocks are', () => {
    const swarm = view(8, of('f32', 'a', 0, 4), of('int8', 'b', 4, 8), of('int8', 'c', 4, 8))
    expect(rule.chooseSpan(swarm, { peerId: 'new', length: 4, blockStepsPerSecond: 100 })).toEqual({ start: 0, end: 4 })
    expect(join(swarm, 'f32', 4)).toEqual({ start: 4, end: 8 })
    expect(join(swarm, 'int8', 4)).toEqual({ start: 0, end: 4 })
  })

  it('blocks that nobody holds in any format come first', () => {
    const swarm = view(8, of('f32', 'a', 0, 6))
    expect(join(swarm, 'int8', 2)).toEqual({ start: 6, end: 8 })
  })

  it('joiners of two formats in any order end with as many whole formats as their blocks allow', () => {
    for (let seed = 1; seed <= 50; seed += 1) {
      const random = seededRandom(seed)
      let swarm = view(12)
      const waiting = [...Array.from({ length: 4 }, () => 'f32'), ...Array.from({ length: 3 }, () => 'int8')]
      for (let i = 0; waiting.length > 0; i += 1) {
        const [weights] = waiting.splice(Math.floor(random() * waiting.length), 1) as [WeightFormat]
        const span = join(swarm, weights, 4, `p${i}`)
        swarm = view(12, ...swarm.peers, of(weights, `p${i}`, span.start, span.end))
      }
      const whole = ['f32', 'int8'].filter((format) => {
        const peers = swarm.peers.filter(({ weights }) => weights === format)
        return unclaimedBlocks(view(12, ...peers)).length === 0
      })
      expect(whole, `seed ${seed}`).toEqual(['f32', 'int8'])
    }
  })

  it('a peer moves where its format lacks blocks, and never takes its last holder for the sake of another', () => {
    const swarm = view(8, of('f32', 'a', 0, 4), of('f32', 'b', 0, 4), of('int8', 'c', 4, 8), of('int8', 'd', 4, 8))
    const options = { balanceQuality: 0.75, random: () => 0 }
    const check = withinFormat(rule, 'f32').checkBalance(swarm, 'b', options)
    expect(check.moveTo).toEqual({ start: 4, end: 8 })
    const alone = view(8, of('f32', 'a', 0, 4), of('int8', 'c', 0, 8))
    expect(withinFormat(rule, 'f32').checkBalance(alone, 'a', options).moveTo).toBeNull()
  })

  it('a hole within a format is closed by a peer of that format that can be spared', () => {
    const swarm = view(8, of('f32', 'a', 0, 4), of('f32', 'b', 0, 4), of('int8', 'c', 0, 8))
    const within = withinFormat(rule, 'f32')
    expect([...urgentMoves(within, viewInFormat(swarm, 'f32'))]).toHaveLength(1)
    expect([...urgentMoves(within, viewInFormat(swarm, 'int8'))]).toEqual([])
  })
})

describe('the format that a swarm is of', () => {
  it('is the one that lacks fewest blocks, the most exact of those alike, claims counted', () => {
    expect(formatServed(view(8))).toBeNull()
    expect(formatServed(view(8, of('f32', 'a', 0, 2), of('int4', 'b', 0, 7)))).toBe('int4')
    expect(formatServed(view(8, of('f32', 'a', 0, 8), of('int4', 'b', 0, 8)))).toBe('f32')
    const claimed = { ...of('f32', 'c', 2, 8), state: 'claimed' as const }
    expect(formatServed(view(8, of('f32', 'a', 0, 2), claimed, of('int4', 'b', 0, 7)))).toBe('f32')
    expect(formatServed(view(8, peer('a', 0, 8)))).toBeNull()
  })
})
