import { expect, test } from 'vitest'
import { endsOf, handOversOf } from '../../../net/neighbours.ts'
import type { PeerRecord } from '../../../swarm/peer-record.ts'
import { signedRecord } from './records.ts'

async function records(spans: Record<string, [number, number]>): Promise<PeerRecord[]> {
  const { record } = await signedRecord(1)
  return Object.entries(spans).map(([peerId, [start, end]]) => ({ ...record, peerId, span: { start, end } }))
}

test('sessions come from and go on to those that hold a block beside ours, ends that touch first', async () => {
  const all = await records({
    self: [3, 6],
    same: [3, 6],
    far: [7, 9],
    after: [6, 9],
    over: [2, 5],
    before: [0, 3],
    all: [0, 9],
  })
  expect(handOversOf(all[0]!, all)).toEqual(['after', 'before', 'all', 'over'])
})

test('a route begins and ends with holders of the first and of the last block', async () => {
  expect(endsOf(await records({ first: [0, 3], middle: [3, 6], last: [6, 9], all: [0, 9] }))).toEqual([
    'first',
    'last',
    'all',
  ])
})
