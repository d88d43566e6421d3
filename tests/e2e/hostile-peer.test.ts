/**
 * What a hostile or mistaken peer may send to a real donor tab, by real libp2p clients: each refused with its own code, and
 * the sessions of others go on. The serving end's own table is tests/unit/net/serve.
 */
import '../../net/compat.ts'
import { createHash, randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { createRequestingNode } from '../../net/node.ts'
import { createServingNode } from '../../net/serving-node.ts'
import { nodePlatform } from '../../net/platform-node.ts'
import type { FrameStream, SwarmNode } from '../../net/types.ts'
import { emptyFrame, readHidden, readJson, readLogits, type Frame } from '../../swarm/codec.ts'
import { makeModelId } from '../../swarm/model-info.ts'
import type { ModelId } from '../../swarm/peer-record.ts'
import { REPO_ROOT } from '../support/processes.ts'
import { READY, TestSwarm } from '../support/swarm.ts'
import { until } from '../integration/net/support.ts'
import { hiddenFrame, next, nextFailure, openFrame, tokensFrame } from '../unit/net/requester.ts'

const REPO = 'plain-tied-f32'
const MODELS = join(REPO_ROOT, 'tests/fixtures/models')
const HIDDEN = 64
const REFERENCE = JSON.parse(readFileSync(join(MODELS, REPO, 'reference.json'), 'utf8')) as {
  input_ids: number[]
  greedy: number[]
}

let swarm: TestSwarm
let model: ModelId
/** Peer ids of the tabs of blocks 0:2 and 2:3. */
let first: string
let last: string
/** Three peers of a Node process each could be somebody else: the asking one, a hop's neighbour, a stranger. */
let client: SwarmNode
let neighbour: SwarmNode
let stranger: SwarmNode
let session: string

const sha256 = async (bytes: Uint8Array): Promise<Uint8Array> => createHash('sha256').update(bytes).digest()

async function asker(): Promise<SwarmNode> {
  return await createRequestingNode({
    relays: swarm.addresses,
    iceServers: [],
    modelDigests: [model.digest],
    platform: nodePlatform,
    directory: 'on',
    log: () => undefined,
  })
}

beforeAll(async () => {
  swarm = new TestSwarm()
  await swarm.relay(['--models-dir', MODELS])
  const peers: string[] = []
  for (const stage of ['0', '1']) {
    const donor = swarm.donor(['--model', REPO, '--models-dir', MODELS, '--splits', '2', '--stage', stage])
    await donor.waitForLine(READY, 120_000)
    peers.push(/PeerID: (\w+)$/.exec(donor.both.find((line) => line.includes('PeerID: ')) ?? '')?.[1] ?? '')
  }
  ;[first = '', last = ''] = peers
  const info = await fetch(`http://127.0.0.1:${swarm.ports[0]}/hub/api/models/${REPO}`)
  const { sha } = (await info.json()) as { sha: string }
  model = await makeModelId(REPO, sha, 3, sha256)
  ;[client, neighbour, stranger] = await Promise.all([asker(), asker(), asker()])
  await until('both tabs are listed', () => client.directory.records(model.digest).length === 2)
})
afterAll(async () => {
  await Promise.all([client, neighbour, stranger].map((node) => node?.stop()))
  await swarm?.stop()
})
beforeEach(() => {
  session = randomBytes(16).toString('hex')
})

const signal = (): AbortSignal => AbortSignal.timeout(20_000)
const mine = (frame: Frame): Frame => ({ ...frame, session })
const steps = (values: number[][], at: Parameters<typeof hiddenFrame>[1]): Frame => mine(hiddenFrame(values, at))
const row = (value: number): number[] => Array.from({ length: HIDDEN }, () => value)

/** Opens a session at a tab; the answer, whatever it is, is the next frame. */
async function open(peerId: string, message: Parameters<typeof openFrame>[0]): Promise<FrameStream> {
  const stream = await client.openInference(peerId, signal())
  await stream.send(openFrame({ modelDigest: model.digest, next: null, ...message }, session))
  return stream
}

/** A session at the last tab, whose steps come from `neighbour`. */
async function openLast(): Promise<{ asking: FrameStream; pushing: FrameStream }> {
  const asking = await open(last, { start: 2, end: 3, previous: neighbour.peerId })
  expect((await next(asking)).type).toBe('opened')
  const pushing = await attach(neighbour)
  expect((await next(pushing)).type).toBe('attached')
  return { asking, pushing }
}

async function attach(node: SwarmNode): Promise<FrameStream> {
  await expect.poll(() => node.directory.get(last) !== undefined, { timeout: 20_000 }).toBe(true)
  const stream = await node.openPush(last, signal())
  const payload = new TextEncoder().encode('{}')
  await stream.send({ ...emptyFrame('attach', session, 0), dtype: 'json', payload })
  return stream
}

async function expectWorks({ asking, pushing }: { asking: FrameStream; pushing: FrameStream }): Promise<void> {
  await pushing.send(steps([row(0.5)], { step: 1, position: 0, topK: 4 }))
  const answer = await next(asking)
  expect(answer.type).toBe('logits')
  expect(readLogits(answer)[0]!.ids).toHaveLength(4)
  await asking.close()
}

test('the two tabs answer the reference’s greedy ids to a well-behaved client', async () => {
  const ids = [...REFERENCE.input_ids]
  const head = await open(first, { start: 0, end: 2, previous: client.peerId, next: last })
  const tail = await open(last, { start: 2, end: 3, previous: first })
  expect((await next(head)).type).toBe('opened')
  expect((await next(tail)).type).toBe('opened')
  await head.send(mine(tokensFrame(ids, { step: 1, position: 0, topK: 1 })))
  expect(readLogits(await next(tail))[0]!.ids[0]).toBe(REFERENCE.greedy[0])
  await Promise.all([head.close(), tail.close()])
})

describe('refused when a session is opened', () => {
  test('by a peer of another revision', async () => {
    const other = await makeModelId(REPO, 'f'.repeat(40), 3, sha256)
    const stream = await open(last, { modelDigest: other.digest, start: 2, end: 3, previous: neighbour.peerId })
    expect(await nextFailure(stream)).toMatchObject({ code: 'WRONG_MODEL', status: 410 })
  })

  test('with a next hop that serves another revision', async () => {
    const other = await makeModelId(REPO, 'f'.repeat(40), 3, sha256)
    const foreign = await createServingNode({
      relays: swarm.addresses,
      iceServers: [],
      modelDigests: [other.digest],
      platform: nodePlatform,
      directory: 'on',
      log: () => undefined,
    })
    try {
      foreign.announcer.announce({
        model: other,
        state: 'online',
        span: { start: 2, end: 3 },
        claimedAt: foreign.now(),
        maxBlocks: 3,
        blockStepsPerSecond: 100,
        cacheTokensLeft: 1000,
        sessions: 0,
        weights: 'f32',
        backend: 'fake',
      })
      // The tab learns of it a moment after this peer does; until then the peer is a stranger to it.
      await expect.poll(() => client.directory.get(foreign.peerId) !== undefined, { timeout: 20_000 }).toBe(true)
      await expect
        .poll(
          async () => {
            session = randomBytes(16).toString('hex')
            const stream = await open(first, { start: 0, end: 2, previous: client.peerId, next: foreign.peerId })
            const failure = await nextFailure(stream)
            return `${String(failure.code)} ${String(failure.peerId)}`
          },
          { timeout: 20_000 },
        )
        .toBe(`WRONG_MODEL ${foreign.peerId}`)
    } finally {
      await foreign.stop()
    }
  })

  test('over blocks that the tab does not hold', async () => {
    const stream = await open(last, { start: 1, end: 3, previous: neighbour.peerId })
    expect(await nextFailure(stream)).toMatchObject({ code: 'PEER_REFUSED' })
  })
})

describe('a step from a peer that is not the previous hop', () => {
  test('pushed by a stranger: refused to the stranger, and the session goes on', async () => {
    const opened = await openLast()
    const intruder = await attach(stranger)
    expect(await nextFailure(intruder)).toMatchObject({ code: 'WRONG_PEER', status: 403 })
    await expectWorks(opened)
  })

  test('sent by the asking peer past its own first hop', async () => {
    const { asking } = await openLast()
    await asking.send(steps([row(0.5)], { step: 1, position: 0 }))
    expect(await nextFailure(asking)).toMatchObject({ code: 'WRONG_PEER' })
  })
})

describe('frames of the previous hop', () => {
  test.each([
    ['lies about its length', (): Frame => ({ ...steps([row(1)], { step: 1, position: 0 }), rows: 7 }), 'BAD_FRAME'],
    [
      'says more rows than are allowed',
      (): Frame => ({ ...steps([row(1)], { step: 1, position: 0 }), rows: 4e9 }),
      'BAD_FRAME',
    ],
    ['has another width', (): Frame => steps([[1, 2, 3]], { step: 1, position: 0 }), 'BAD_FRAME'],
    ['holds a NaN', (): Frame => steps([[...row(1).slice(1), Number.NaN]], { step: 1, position: 0 }), 'NOT_FINITE'],
    ['holds an infinity', (): Frame => steps([[Infinity, ...row(1).slice(1)]], { step: 1, position: 0 }), 'NOT_FINITE'],
    ['leaves a gap', (): Frame => steps([row(1)], { step: 1, position: 5 }), 'WRONG_POSITION'],
    ['holds token ids', (): Frame => mine(tokensFrame([1], { step: 1, position: 0 })), 'BAD_FRAME'],
  ] as const)('one that %s is refused by name, and others are served', async (_what, frame, code) => {
    const { asking, pushing } = await openLast()
    await pushing.send(frame())
    expect(await nextFailure(asking)).toMatchObject({ code, peerId: neighbour.peerId })
    session = randomBytes(16).toString('hex')
    await expectWorks(await openLast())
  })
})

describe('steps of the asking peer', () => {
  test.each([
    ['a token id outside the vocabulary', [70_000], 'BAD_TOKEN_ID'],
    ['hidden states in place of tokens', null, 'BAD_FRAME'],
  ] as const)('%s', async (_what, ids, code) => {
    const stream = await open(first, { start: 0, end: 2, previous: client.peerId, next: client.peerId })
    expect((await next(stream)).type).toBe('opened')
    await stream.send(
      ids === null ? steps([row(1)], { step: 1, position: 0 }) : mine(tokensFrame([...ids], { step: 1, position: 0 })),
    )
    expect(await nextFailure(stream)).toMatchObject({ code })
  })

  test('where two hops cannot connect, hidden states come back to the asking peer', async () => {
    const stream = await open(first, { start: 0, end: 2, previous: client.peerId, next: client.peerId })
    expect((await next(stream)).type).toBe('opened')
    await stream.send(mine(tokensFrame([1, 2], { step: 1, position: 0 })))
    const hidden = readHidden(await next(stream))
    expect(hidden).toHaveLength(2 * HIDDEN)
    expect(hidden.every(Number.isFinite)).toBe(true)
    await stream.close()
  })

  test('an open message that is no JSON', async () => {
    const stream = await client.openInference(first, signal())
    const payload = new TextEncoder().encode('{"version":')
    await stream.send({ ...emptyFrame('open', session, 0), dtype: 'json', payload })
    const failure = await next(stream)
    expect([failure.type, readJson(failure)['code']]).toEqual(['failure', 'BAD_FRAME'])
  })
})
