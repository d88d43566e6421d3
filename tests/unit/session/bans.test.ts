/** How long a peer is left out, by what it did. */
import { describe, expect, test } from 'vitest'
import { Bans, type BanReason } from '../../../session/bans.ts'
import type { PeerRecord } from '../../../swarm/peer-record.ts'

const record = (seq: number, relays: string[] = ['a']): PeerRecord => ({ peerId: 'p', seq, relays }) as PeerRecord
const isOut = (bans: Bans, nowMs: number, seq = 1): boolean => bans.excluded([record(seq)], nowMs).has('p')

/** Ms until the peer is used again after so many bans in a row, without news of it. */
function banOf(reason: BanReason, strikes: number): number {
  const bans = new Bans()
  for (let i = 0; i < strikes; i += 1) bans.ban('p', reason, 0, record(1))
  return bans.nextEndMs(0) as number
}

describe('a ban', () => {
  test.each<[BanReason, number, number]>([
    ['lost', 15_000, 600_000],
    ['fault', 15_000, 600_000],
    ['refused', 500, 15_000],
    ['unreachable', 2_000, 60_000],
  ])('for being %s begins at %i ms, doubles, and never exceeds %i ms', (reason, base, max) => {
    expect([1, 2, 3].map((strikes) => banOf(reason, strikes))).toEqual([base, 2 * base, 4 * base])
    expect(banOf(reason, 40)).toBe(max)
  })

  test('ends with its time', () => {
    const bans = new Bans()
    bans.ban('p', 'unreachable', 0, record(1))
    expect([isOut(bans, 1_999), isOut(bans, 2_000)]).toEqual([true, false])
  })

  test.each<[BanReason, boolean]>([
    ['lost', false],
    ['refused', false],
    ['unreachable', true],
    ['fault', true],
  ])('for being %s still holds after a fresh record: %s', (reason, holds) => {
    const bans = new Bans()
    bans.ban('p', reason, 0, record(1))
    expect(isOut(bans, 1)).toBe(true)
    expect(isOut(bans, 1, 2)).toBe(holds)
  })

  test('for being unreachable ends when a fresh record names another relay', () => {
    const bans = new Bans()
    bans.ban('p', 'unreachable', 0, record(1, ['a']))
    expect(bans.excluded([record(2, ['a'])], 1).has('p')).toBe(true)
    expect(bans.excluded([record(1, ['a', 'b'])], 1).has('p')).toBe(true)
    expect(bans.excluded([record(2, ['a', 'b'])], 1).has('p')).toBe(false)
  })

  test.each<[BanReason, boolean]>([
    ['lost', false],
    ['refused', false],
    ['unreachable', false],
    ['fault', true],
  ])(
    'for being %s, of somebody without whom there is no route, still holds after five seconds: %s',
    (reason, holds) => {
      const bans = new Bans()
      for (let i = 0; i < 9; i += 1) bans.ban('p', reason, 0, record(1))
      const isOutWhereNeeded = (nowMs: number): boolean => bans.excluded([record(1)], nowMs, true).has('p')
      expect(isOutWhereNeeded(4_999)).toBe(true)
      expect(isOutWhereNeeded(5_000)).toBe(holds)
      expect(isOut(bans, 5_000)).toBe(true)
    },
  )

  test('is forgotten when the peer answers', () => {
    const bans = new Bans()
    bans.ban('p', 'fault', 0, record(1))
    bans.forgive('p')
    expect(isOut(bans, 1)).toBe(false)
    bans.ban('p', 'fault', 0, record(1))
    expect(bans.nextEndMs(0)).toBe(15_000)
  })
})
