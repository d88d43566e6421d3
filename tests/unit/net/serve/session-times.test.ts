/** How long a session keeps its KV cache: sixty seconds of silence, thirty minutes in all, and a previous hop that comes. */
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { FrameServer } from '../../../../net/serve/server.ts'
import { emptyFrame } from '../../../../swarm/codec.ts'
import { ATTACH_TIMEOUT_MS, SESSION_IDLE_MS, SESSION_LIFE_MS } from '../../../../swarm/limits.ts'
import { FakeRunner } from '../fake-runner.ts'
import { memoryPair, type MemoryStream } from '../memory-stream.ts'
import { next, nextFailure, openFrame, SESSION, tokensFrame } from '../requester.ts'

let server: FrameServer
let runner: FakeRunner

beforeEach(() => {
  vi.useFakeTimers()
  server = new FrameServer({
    selfId: 'hop',
    modelDigest: 'd'.repeat(32),
    weights: 'f32',
    backend: 'fake',
    record: () => undefined,
    openPush: () => Promise.reject(new Error('no next hop here')),
    log: () => undefined,
  })
  runner = new FakeRunner({ start: 6, end: 9 }, 9, 2)
  server.addRunner(runner)
})
afterEach(async () => {
  await server.stop()
  vi.useRealTimers()
})

/** The whole span here, so that the requesting peer sends the steps itself; or the last hop of a route. */
async function open(previous = 'client'): Promise<MemoryStream> {
  const [here, there] = memoryPair('client', 'hop')
  void server.serveRequester(there)
  await here.send(openFrame({ start: 6, end: 9, previous, next: null }))
  expect((await next(here)).type).toBe('opened')
  return here
}

test('the limits are those of the design', () => {
  expect([SESSION_IDLE_MS, SESSION_LIFE_MS]).toEqual([60_000, 1_800_000])
})

test('a session that is silent for a minute is told so and frees its cache', async () => {
  const stream = await open()
  await vi.advanceTimersByTimeAsync(SESSION_IDLE_MS - 1_000)
  expect(runner.sessions.size).toBe(1)
  await vi.advanceTimersByTimeAsync(5_000)
  const failure = await nextFailure(stream)
  expect(failure).toMatchObject({ code: 'PEER_TIMEOUT', retryable: true, peerId: 'hop' })
  expect(failure.message).toMatch(/nothing came for 6\d s/u)
  expect(runner.sessions.size).toBe(0)
  expect(server.stats().sessions).toBe(0)
})

test('a ping is a sign of life, and thirty minutes are the end all the same', async () => {
  const stream = await open()
  let pongs = 0
  for (let ms = 0; ms < SESSION_LIFE_MS - 30_000; ms += 30_000) {
    await stream.send({ ...emptyFrame('ping', SESSION, 0), step: ms })
    expect((await next(stream)).type).toBe('pong')
    pongs += 1
    await vi.advanceTimersByTimeAsync(30_000)
  }
  expect(pongs).toBeGreaterThan(50)
  expect(runner.sessions.size).toBe(1)
  await stream.send({ ...emptyFrame('ping', SESSION, 0), step: 1 })
  expect((await next(stream)).type).toBe('pong')
  await vi.advanceTimersByTimeAsync(35_000)
  const failure = await nextFailure(stream)
  expect(failure).toMatchObject({ code: 'PEER_TIMEOUT', retryable: true })
  expect(failure.message).toContain('at most 1800 s')
  expect(runner.sessions.size).toBe(0)
})

test('a previous hop that never comes is named', async () => {
  const stream = await open('before')
  await vi.advanceTimersByTimeAsync(ATTACH_TIMEOUT_MS + 3_000)
  expect(await nextFailure(stream)).toMatchObject({ code: 'PEER_TIMEOUT', peerId: 'before', retryable: true })
  expect(runner.sessions.size).toBe(0)
})

test('a step for a session that is over is answered by nobody, and a new session takes its place', async () => {
  const stream = await open()
  await vi.advanceTimersByTimeAsync(SESSION_IDLE_MS + 5_000)
  await nextFailure(stream)
  await stream.send(tokensFrame([1], { step: 1, position: 0 }))
  expect(await stream.receive()).toBeNull()
  await open()
  expect(server.stats().sessions).toBe(1)
})

test('a session is active as long as its requesting peer is heard', async () => {
  const stream = await open()
  await vi.advanceTimersByTimeAsync(9_000)
  expect(server.activeSessions(10_000)).toBe(1)
  await stream.send(emptyFrame('ping', SESSION, 0))
  expect((await next(stream)).type).toBe('pong')
  await vi.advanceTimersByTimeAsync(9_000)
  expect(server.activeSessions(10_000)).toBe(1)
  await vi.advanceTimersByTimeAsync(2_000)
  expect([server.activeSessions(10_000), server.stats().sessions]).toEqual([0, 1])
})
