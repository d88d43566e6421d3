/** The serving end when another hop of a session was lost: what it holds goes on under a new epoch, for the same peer alone, and not for ever. */
import { afterEach, expect, test, vi } from 'vitest'
import { emptyFrame, FLAG_REPLAY, jsonFrame, readHidden, readJson, type Frame } from '../../../../swarm/codec.ts'
import { HELD_SESSION_MS } from '../../../../swarm/limits.ts'
import { PROTOCOL_VERSION } from '../../../../swarm/protocol.ts'
import type { MemoryStream } from '../memory-stream.ts'
import { next, nextFailure, SESSION, tokensFrame } from '../requester.ts'
import { connect, createServer, DIGEST, pushed, records, settled } from './server-lab.ts'

afterEach(() => void vi.useRealTimers())

const SPAN = { start: 0, end: 3 }
/** Of `FakeRunner`: block indices are added to the token. */
const AFTER = 0 + 1 + 2

function openAs(fields: object, epoch: number): Frame {
  const message = {
    version: PROTOCOL_VERSION,
    modelDigest: DIGEST,
    ...SPAN,
    previous: 'client',
    next: 'after',
    maxTokens: 40,
    dtype: 'f32',
  }
  return jsonFrame('open', SESSION, epoch, { ...message, ...fields })
}

async function opened(stream: MemoryStream, fields: object, epoch: number): Promise<Record<string, unknown>> {
  await stream.send(openAs(fields, epoch))
  const frame = await next(stream)
  expect(frame.type).toBe('opened')
  return readJson(frame)
}

/** A first hop that has run tokens 10, 11 and 12 and sent them on to `after`. */
async function firstHop() {
  for (const name of ['after', 'other'])
    records.set(name, { model: { repo: 'r', revision: 'c', digest: DIGEST, blocks: 9 } })
  const { server, runner } = createServer(SPAN)
  const stream = connect(server)
  await opened(stream, {}, 1)
  const after = pushed[0] as MemoryStream
  expect((await next(after)).type).toBe('attach')
  await stream.send({ ...tokensFrame([10, 11, 12], { step: 1, position: 0 }), epoch: 1 })
  expect((await next(after)).rows).toBe(3)
  return { server, runner, stream, after }
}

test('its next hop is lost: it holds the session, goes on with another, and sends that what it had sent', async () => {
  const { server, runner, stream, after } = await firstHop()
  after.abort(new Error('gone'))
  expect(await nextFailure(stream)).toMatchObject({ code: 'PEER_LOST', peerId: 'after' })
  await settled(() => server.stats().sessions === 0)
  expect(runner.sessions.size).toBe(1)

  const again = connect(server)
  expect(await opened(again, { next: 'other', resume: true }, 2)).toMatchObject({ held: 3, outputs: 3, resumes: true })
  const other = pushed[1] as MemoryStream
  expect(await next(other)).toMatchObject({ type: 'attach', epoch: 2 })
  await again.send({ ...emptyFrame('resend', SESSION, 2), step: 1, position: 1, rows: 2 })
  const sent = await next(other)
  expect(sent).toMatchObject({ type: 'step', flags: FLAG_REPLAY, epoch: 2, step: 1, position: 1, rows: 2, columns: 2 })
  expect([...readHidden(sent)]).toEqual([11, 11, 12, 12].map((token) => token + AFTER))
  await again.send({ ...tokensFrame([13], { step: 2, position: 3 }), epoch: 2 })
  expect(await next(other)).toMatchObject({ type: 'step', flags: 0, position: 3, rows: 1 })
  // Cut back, it sends no more of what is forgotten.
  await again.send({ ...emptyFrame('truncate', SESSION, 2), position: 2 })
  expect((await next(again)).type).toBe('truncated')
  await again.send({ ...emptyFrame('resend', SESSION, 2), step: 3, position: 1, rows: 2 })
  expect(await nextFailure(again)).toMatchObject({ code: 'NO_SESSION' })
})

test('a session that is open goes on under the new epoch, and its old streams end', async () => {
  const { server, runner, stream, after } = await firstHop()
  const again = connect(server)
  expect(await opened(again, { next: 'other', resume: true }, 2)).toMatchObject({ held: 3, outputs: 3 })
  expect(await stream.receive()).toBeNull()
  expect((await next(after)).type).toBe('close')
  expect([server.stats().sessions, runner.sessions.size]).toEqual([1, 1])
  // What still comes on the old way is nothing to it.
  await again.send({ ...tokensFrame([13], { step: 1, position: 3 }), epoch: 2 })
  expect(await next(pushed[1] as MemoryStream)).toMatchObject({ type: 'attach' })
  expect(await next(pushed[1] as MemoryStream)).toMatchObject({ type: 'step', position: 3 })
})

test('a step that still runs when the next hop is lost is waited for, and counts', async () => {
  const { server, runner, stream, after } = await firstHop()
  let openGate = (): void => undefined
  runner.gate = new Promise((resolve) => (openGate = resolve))
  await stream.send({ ...tokensFrame([13], { step: 2, position: 3 }), epoch: 1 })
  await settled(() => runner.batches.length === 2)
  after.abort(new Error('gone'))
  await settled(() => server.stats().sessions === 0)
  const again = connect(server)
  const answer = opened(again, { next: 'other', resume: true }, 2)
  openGate()
  expect(await answer).toMatchObject({ held: 4, outputs: 4 })
  expect(runner.sessions.size).toBe(1)
})

test('nobody else goes on with it, nor with an epoch that is not newer, other blocks, or more room', async () => {
  const { server, after } = await firstHop()
  const refusedTo = async (peerId: string, fields: object, epoch: number): Promise<unknown> => {
    const stream = connect(server, peerId)
    await stream.send(openAs({ next: 'other', resume: true, ...fields }, epoch))
    return (await nextFailure(stream))['code']
  }
  for (const isHeld of [false, true]) {
    if (isHeld) {
      after.abort(new Error('gone'))
      await settled(() => server.stats().sessions === 0)
    }
    expect(await refusedTo('thief', { previous: 'thief' }, 9)).toBe('PEER_REFUSED')
    if (!isHeld) expect(await refusedTo('client', {}, 1)).toBe('PEER_REFUSED')
    expect(await refusedTo('client', { end: 2 }, 9)).toBe('PEER_REFUSED')
    expect(await refusedTo('client', { maxTokens: 41 }, 9)).toBe('PEER_REFUSED')
  }
})

test('opened anew under its id, without going on, it begins with nothing', async () => {
  const { server, runner } = await firstHop()
  const again = connect(server)
  expect(await opened(again, { next: 'other' }, 2)).not.toHaveProperty('held')
  expect(runner.sessions.get(SESSION)?.values).toEqual([])
  const third = connect(server)
  // It knows nothing of a session that has run nothing.
  expect(await opened(third, { next: 'after', resume: true }, 3)).toMatchObject({ held: 0, outputs: 0 })
})

test('what nobody goes on with is freed after a while, and before that for whoever needs the room', async () => {
  const { server, runner, after } = await firstHop()
  runner.cacheTokens = 60
  after.abort(new Error('gone'))
  await settled(() => server.stats().sessions === 0)
  expect(runner.sessions.size).toBe(1)
  const stream = connect(server, 'somebody')
  await stream.send({ ...openAs({ previous: 'somebody', next: 'other' }, 0), session: 'f'.repeat(32) })
  expect((await next(stream)).type).toBe('opened')
  expect([...runner.sessions.keys()]).toEqual(['f'.repeat(32)])

  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  await stream.send({ ...tokensFrame([1], { step: 1, position: 0 }), session: 'f'.repeat(32) })
  await vi.waitFor(() => expect(runner.sessions.get('f'.repeat(32))?.values).toHaveLength(1))
  ;(pushed[1] as MemoryStream).abort(new Error('gone'))
  await vi.waitFor(() => expect(server.stats().sessions).toBe(0))
  await vi.advanceTimersByTimeAsync(HELD_SESSION_MS - 1_000)
  expect(runner.sessions.size).toBe(1)
  await vi.advanceTimersByTimeAsync(2_000)
  expect(runner.sessions.size).toBe(0)
})

test('a pause, a move and a stop free what is held', async () => {
  for (const how of ['handOver', 'retireRunner', 'stop'] as const) {
    const { server, runner, after } = await firstHop()
    after.abort(new Error('gone'))
    await settled(() => server.stats().sessions === 0)
    expect(runner.sessions.size).toBe(1)
    if (how === 'handOver') await server.handOver('is paused')
    else if (how === 'retireRunner') await server.retireRunner(runner)
    else await server.stop()
    expect([how, runner.sessions.size]).toEqual([how, 0])
    pushed.length = 0
  }
})
