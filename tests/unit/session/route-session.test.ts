import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { readLogitsRows, type AskedLogits } from '../../../session/logits-row.ts'
import { RouteSession } from '../../../session/route-session.ts'
import {
  emptyFrame,
  failureFrame,
  FLAG_ALL_ROWS,
  logitsPayload,
  logitsRowsPayload,
  type Frame,
} from '../../../swarm/codec.ts'
import { SwarmError, toPlainError } from '../../../swarm/errors.ts'
import type { LogitsRow } from '../../../swarm/span-runner.ts'
import { FAKE_VOCAB, logitsOf } from './support/fake-engine.ts'
import { FakeSwarm, type FakePeer } from './support/fake-swarm.ts'
import { fakeModel, useVirtualTime } from './support/run.ts'

const SESSION = 'ab'.repeat(16)

beforeEach(useVirtualTime)
afterEach(() => {
  vi.useRealTimers()
})

async function open(swarm: FakeSwarm): Promise<RouteSession> {
  return RouteSession.open({
    node: swarm.node(),
    model: fakeModel(swarm),
    hops: [
      { peerId: 'a', span: { start: 0, end: 2 } },
      { peerId: 'b', span: { start: 2, end: 4 } },
    ],
    session: SESSION,
    epoch: 3,
    maxTokens: 100,
    now: () => performance.now(),
    signal: new AbortController().signal,
  })
}

function twoTabs(): { swarm: FakeSwarm; a: FakePeer; b: FakePeer } {
  const swarm = new FakeSwarm(4)
  return { swarm, a: swarm.join('a', 0, 2), b: swarm.join('b', 2, 4) }
}

async function feed(session: RouteSession, ids: readonly number[]): Promise<LogitsRow> {
  const steps = session.feed(ids, 4)
  for (;;) {
    const step = await steps.next()
    if (step.done === true) return step.value
  }
}

/** The peer says `frames` in place of its answer to the next step. */
function say(peer: FakePeer, ...frames: Frame[]): void {
  const session = peer.sessions.get(SESSION)!
  peer.receive = () => frames.forEach((frame) => session.send(frame))
}

function logits(row: LogitsRow, step = 1): Frame {
  const frame = emptyFrame('logits', SESSION, 3)
  return { ...frame, step, columns: row.ids.length, dtype: 'logits', payload: logitsPayload(row) }
}

const ask = (topK: number, rows = 1): AskedLogits => ({ vocabSize: FAKE_VOCAB, topK, rows })

describe('what a hop may not send', () => {
  const good = logitsOf(1, 4)
  test.each<[string, 'a' | 'b', Frame, string]>([
    ['logits from a hop that is not the last', 'a', logits(good), 'BAD_FRAME'],
    ['an answer to a step that was never sent', 'b', logits(good, 9), 'BAD_FRAME'],
    ['done where logits were asked for', 'b', { ...emptyFrame('done', SESSION, 3), step: 1 }, 'BAD_FRAME'],
    ['fewer logits than asked for', 'b', logits(logitsOf(1, 3)), 'BAD_FRAME'],
    ['logits of another vocabulary', 'b', logits({ ...good, vocabSize: 65 }), 'BAD_FRAME'],
    ['a frame of another session', 'b', { ...logits(good), session: 'cd'.repeat(16) }, 'BAD_FRAME'],
    ['an open frame', 'b', emptyFrame('open', SESSION, 3), 'BAD_FRAME'],
    [
      'hidden states',
      'a',
      { ...emptyFrame('step', SESSION, 3), rows: 1, columns: 1, dtype: 'f32', payload: new Uint8Array(4) },
      'BAD_FRAME',
    ],
    ['opened once more', 'b', emptyFrame('opened', SESSION, 3), 'BAD_FRAME'],
    ['its goodbye', 'b', emptyFrame('close', SESSION, 3), 'NO_SESSION'],
  ])('%s: the session is over and the hop is named', async (_, peerId, frame, code) => {
    const { swarm } = twoTabs()
    const session = await open(swarm)
    say(swarm.peer(peerId)!, frame)
    await expect(feed(session, [1, 2])).rejects.toMatchObject({ code, peerId })
    expect(session.error).toMatchObject({ code, peerId })
    await expect(feed(session, [1, 2, 3])).rejects.toMatchObject({ code, peerId })
    await session.close()
  })

  test('a frame of an earlier epoch is dropped', async () => {
    const { swarm, b } = twoTabs()
    const session = await open(swarm)
    b.sessions.get(SESSION)!.send({ ...emptyFrame('failure', SESSION, 2) })
    expect((await feed(session, [1, 2])).ids.length).toBe(4)
    await session.close()
  })

  test.each([
    ['names the next hop', 'b', 'PEER_LOST', 'b', 'PEER_LOST'],
    ['names nobody', undefined, 'GPU_LOST', 'a', 'GPU_LOST'],
    ['names somebody outside the route', 'stranger', 'PEER_LOST', 'a', 'PEER_LOST'],
    ['ends an idle session of its own', 'a', 'PEER_TIMEOUT', 'a', 'NO_SESSION'],
    ['uses a code that is not for the wire', undefined, 'NO_BROWSER', 'a', 'PEER_REFUSED'],
  ] as const)('a failure that %s', async (_, named, code, culprit, seen) => {
    const { swarm, a } = twoTabs()
    const session = await open(swarm)
    const error = new SwarmError(code, 'x'.repeat(3000), named === undefined ? {} : { peerId: named })
    say(a, failureFrame(SESSION, 3, toPlainError(error)))
    const thrown = await feed(session, [1]).catch((e: unknown) => e as SwarmError)
    expect(thrown).toMatchObject({ code: seen, peerId: culprit })
    expect((thrown as SwarmError).message.length).toBe(500)
    await session.close()
  })
})

test('a slow step is not a loss: a hop that answers pings is waited for', async () => {
  const { swarm, b } = twoTabs()
  const session = await open(swarm)
  const receive = b.receive.bind(b)
  b.receive = (frame, stream) => {
    if (frame.type === 'step') setTimeout(() => receive(frame, stream), 60_000)
    else receive(frame, stream)
  }
  expect((await feed(session, [1, 2])).ids.length).toBe(4)
  expect(b.counts.get('ping')).toBeGreaterThan(30)
  await session.close()
})

test('a step that was lost between two living hops ends the session after two minutes', async () => {
  const { swarm, b } = twoTabs()
  const session = await open(swarm)
  const receive = b.receive.bind(b)
  b.receive = (frame, stream) => {
    if (frame.type !== 'step') receive(frame, stream)
  }
  const startedMs = performance.now()
  await expect(feed(session, [1, 2])).rejects.toMatchObject({ code: 'PEER_TIMEOUT' })
  expect(performance.now() - startedMs).toBeGreaterThanOrEqual(120_000)
  await session.close()
})

test('an idle session sends nothing', async () => {
  const { swarm, a } = twoTabs()
  const session = await open(swarm)
  await feed(session, [1, 2])
  const before = a.counts.get('ping') ?? 0
  await new Promise<void>((resolve) => setTimeout(resolve, 600_000))
  expect(a.counts.get('ping') ?? 0).toBe(before)
  expect((await feed(session, [1, 2, 3])).ids.length).toBe(4)
  await session.close()
})

describe('a logits row', () => {
  const row = logitsOf(2, 4)
  const swap = (change: Partial<LogitsRow>): Frame => logits({ ...row, ...change })
  test.each<[string, Frame, string]>([
    ['out of order', swap({ values: row.values.toReversed() }), 'BAD_FRAME'],
    ['an id twice', swap({ ids: Uint32Array.of(row.ids[0]!, row.ids[1]!, row.ids[2]!, row.ids[0]!) }), 'BAD_FRAME'],
    [
      'ties not to the lower id',
      swap({ ids: Uint32Array.of(3, 2, 1, 0), values: new Float32Array(4).fill(1) }),
      'BAD_FRAME',
    ],
    ['a sum below its greatest part', swap({ logSumExp: row.values[0]! - 1 }), 'BAD_FRAME'],
    ['not a number', swap({ values: Float32Array.of(NaN, 1, 0, -1) }), 'NOT_FINITE'],
  ])('%s is refused', (_, frame, code) => {
    expect(() => readLogitsRows(frame, ask(4))).toThrow(expect.objectContaining({ code }))
  })

  test('as many rows as asked for, each checked', () => {
    const rows = [row, logitsOf(5, 4), logitsOf(9, 4)]
    const of = (sent: readonly LogitsRow[], count = sent.length): Frame => {
      return { ...logits(row), flags: FLAG_ALL_ROWS, rows: count, payload: logitsRowsPayload(sent) }
    }
    expect(readLogitsRows(of(rows), ask(4, 3))).toEqual(rows)
    const bad = { ...row, logSumExp: row.values[0]! - 1 }
    for (const [frame, count] of [
      [of(rows), 2],
      [of(rows), 1],
      [logits(row), 3],
      [of([row, bad, row]), 3],
    ] as const) {
      expect(() => readLogitsRows(frame, ask(4, count))).toThrow(expect.objectContaining({ code: 'BAD_FRAME' }))
    }
  })

  test('as asked for is taken, the whole row too', () => {
    expect(readLogitsRows(logits(row), ask(4))).toEqual([row])
    expect(readLogitsRows(logits(logitsOf(2, 0)), ask(0))[0]!.ids.length).toBe(FAKE_VOCAB)
    expect(readLogitsRows(logits(logitsOf(2, 0)), ask(1000))[0]!.ids.length).toBe(FAKE_VOCAB)
  })
})
