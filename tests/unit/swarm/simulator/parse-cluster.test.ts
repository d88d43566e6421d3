import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { parseCluster } from '../../../../swarm/simulator/parse-cluster.ts'
import { refusal } from './support.ts'

const parse = (json: unknown) => parseCluster(json, 'swarm.json')
const peer = { id: 'a', blockStepsPerSecond: 100 }
const file = { units: 4, peers: [peer] }

describe('what a file says', () => {
  test('a peer goes before its type, the type before the file, and a default comes last', () => {
    const { peers } = parse({
      units: 8,
      leaveChance: 0.3,
      maxBlocks: 6,
      types: { slow: { blockStepsPerSecond: 10, maxBlocks: 4, leaveChance: 0.2 } },
      peers: [
        { id: 'a', type: 'slow', leaveChance: 0.1 },
        { id: 'b', type: 'slow' },
        { ...peer, id: 'c' },
      ],
    })
    expect(peers.map(({ leaveChance }) => leaveChance)).toEqual([0.1, 0.2, 0.3])
    expect(peers.map(({ maxBlocks }) => maxBlocks)).toEqual([4, 4, 6])
    expect(peers.map(({ downloadBytesPerSecond }) => downloadBytesPerSecond)).toEqual([12.5e6, 12.5e6, 12.5e6])
  })

  test('a table ends where the peer cannot hold more, and so does the model', () => {
    const { peers } = parse({
      units: 3,
      types: { table: { tokensPerSecond: [50, 20] } },
      peers: [
        { id: 'a', type: 'table' },
        { id: 'b', type: 'table', maxBlocks: 1 },
        { id: 'c', blockStepsPerSecond: 1 },
      ],
    })
    expect(peers.map(({ maxBlocks }) => maxBlocks)).toEqual([2, 1, 3])
    expect(peers[0]?.speed).toEqual({ kind: 'table', tokensPerSecond: [50, 20] })
  })

  test('units weigh 1 each unless the file says otherwise', () => {
    expect(parse(file).unitWeights).toEqual([1, 1, 1, 1])
    expect(parse({ ...file, unitWeights: [1, 1, 1, 2.4] }).unitWeights).toEqual([1, 1, 1, 2.4])
  })

  test('round trips: one number, or a matrix in the order of the peers; who asks is as far as the others in the mean', () => {
    expect(parse({ ...file, rttMs: 12 }).rttMs(null, 'a')).toBe(12)
    const { rttMs } = parse({
      units: 4,
      peers: ['a', 'b', 'c'].map((id) => ({ ...peer, id })),
      rttMs: [
        [0, 10, 20],
        [12, 0, 40],
        [20, 40, 0],
      ],
    })
    expect([rttMs('a', 'b'), rttMs('b', 'a'), rttMs(null, 'b')]).toEqual([10, 12, 26])
  })

  test('keys of the writer’s own are no matter', () => {
    expect(parse({ ...file, source: 'measured in May', published: { ilp: [] } }).peers).toHaveLength(1)
  })

  test('the example of the documentation is read', () => {
    const doc = readFileSync(join(import.meta.dirname, '../../../../docs/simulator.md'), 'utf8')
    const example = /```json\n([^`]*)```/.exec(doc)?.[1] ?? ''
    expect(parse(JSON.parse(example)).peers.length).toBeGreaterThan(1)
  })
})

describe('a sentence for each wrong field', () => {
  test.each([
    [[], 'the file must be an object, and is [].'],
    [{ peers: [peer] }, 'units is missing'],
    [{ ...file, units: 0 }, 'units must be a whole number from 1 to 10000, and is 0.'],
    [{ ...file, units: 4.5 }, 'units must be a whole number from 1 to 10000, and is 4.5.'],
    [{ units: 4 }, 'peers is missing'],
    [{ units: 4, peers: {} }, 'peers must be a list, and is {}.'],
    [{ units: 4, peers: ['a'] }, 'peers[0] must be an object, and is "a".'],
    [{ units: 4, peers: [{ blockStepsPerSecond: 1 }] }, 'peers[0].id is missing.'],
    [{ units: 4, peers: [{ id: '', blockStepsPerSecond: 1 }] }, 'peers[0].id must be a text'],
    [{ units: 4, peers: [peer, peer] }, 'peers[1].id is "a" a second time'],
    [{ units: 4, peers: [{ id: 'a' }] }, 'peers[0] has no speed'],
    [{ units: 4, peers: [{ id: 'a', type: 'T4' }] }, 'peers[0].type is "T4", which types does not have.'],
    [
      { units: 4, peers: [{ id: 'a', blockStepsPerSecond: 0 }] },
      'peers[0].blockStepsPerSecond must be a number above 0, and is 0.',
    ],
    [{ units: 4, peers: [{ ...peer, tokensPerSecond: [1] }] }, 'exclude each other'],
    [{ units: 4, peers: [{ id: 'a', tokensPerSecond: [] }] }, 'peers[0].tokensPerSecond is empty'],
    [
      { units: 4, peers: [{ id: 'a', tokensPerSecond: [5, -1] }] },
      'peers[0].tokensPerSecond[1] must be a number above 0, and is -1.',
    ],
    [
      { units: 4, types: { t: { tokensPerSecond: 5 } }, peers: [{ id: 'a', type: 't' }] },
      'types.t.tokensPerSecond must be a list, and is 5.',
    ],
    [
      { units: 4, types: { t: { tokenPerSecond: [5] } }, peers: [] },
      'types.t.tokenPerSecond is not known: write tokensPerSecond',
    ],
    [{ ...file, unit_weights: [1, 1, 1, 1] }, 'unit_weights is not known: write unitWeights'],
    [{ ...file, unitWeights: [1, 1, 1] }, 'unitWeights must have 4 numbers, one a unit, and has 3.'],
    [{ ...file, unitWeights: [1, 0, 1, 1] }, 'unitWeights[1] must be a number above 0, and is 0.'],
    [{ ...file, rttMs: -1 }, 'rttMs must be a number of 0 or more, and is -1.'],
    [{ ...file, rttMs: [[0], [0]] }, 'rttMs must have a row for each of the 1 peers, and has 2.'],
    [{ ...file, rttMs: [[0, 1]] }, 'rttMs[0] must be 1 numbers of 0 or more, and is [0,1].'],
    [{ ...file, bytesPerUnit: 0 }, 'bytesPerUnit must be a number above 0, and is 0.'],
    [
      { units: 4, peers: [{ ...peer, leaveChance: 1.5 }] },
      'peers[0].leaveChance must be a number of 0 or more and at most 1, and is 1.5.',
    ],
    [
      { units: 4, peers: [{ ...peer, downloadBytesPerSecond: 0 }] },
      'peers[0].downloadBytesPerSecond must be a number above 0, and is 0.',
    ],
    [
      { units: 4, peers: [{ ...peer, maxBlocks: 0 }] },
      'peers[0].maxBlocks must be a whole number from 1 to 10000, and is 0.',
    ],
  ])('%j', (json, sentence) => {
    expect(refusal(() => parse(json))).toContain(sentence)
  })

  test('all of them at once', () => {
    const message = refusal(() => parse({ units: 0, peers: [{ id: 'a' }], rttMs: -1 }))
    for (const field of ['units must', 'peers[0] has no speed', 'rttMs must']) expect(message).toContain(field)
  })
})
