/** The pulse of one hop, by a virtual clock: who is given up, after how long, and how a hidden page counts. */
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import type { FrameStream } from '../../../net/types.ts'
import { HopStream } from '../../../session/hop-stream.ts'
import { emptyFrame, type Frame } from '../../../swarm/codec.ts'
import type { SwarmError } from '../../../swarm/errors.ts'

const SESSION = 'a'.repeat(32)

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

interface FakeHop {
  answers: boolean
  pings: number
  lost: SwarmError[]
}

/** `grainMs`: timers come no more often than that, as in a hidden page. */
function watchedHop(grainMs: number): FakeHop {
  const hop: FakeHop = { answers: true, pings: 0, lost: [] }
  let deliver: (frame: Frame | null) => void = () => undefined
  const stream: FrameStream = {
    peerId: 'hop',
    direct: true,
    async send(frame) {
      if (frame.type !== 'ping') return
      hop.pings += 1
      // Answers are events: no timer of the page, however it is throttled.
      if (hop.answers) queueMicrotask(() => deliver({ ...emptyFrame('pong', SESSION, 1), step: frame.step }))
    },
    receive: () => new Promise((resolve) => (deliver = resolve)),
    close: async () => undefined,
    abort: () => undefined,
  }
  const real = globalThis.setTimeout
  vi.spyOn(globalThis, 'setTimeout').mockImplementation(((run: () => void, ms = 0) =>
    real(run, Math.max(ms, grainMs))) as typeof setTimeout)
  const hopStream = new HopStream(
    stream,
    { peerId: 'hop', span: { start: 0, end: 1 } },
    { session: SESSION, epoch: 1 },
    () => performance.now(),
    { onFrame: () => undefined, onLost: (error) => hop.lost.push(error), isWaiting: () => true },
  )
  hopStream.startPulse()
  return hop
}

test.each([
  ['in front', 0],
  ['hidden: a timer a second', 1_000],
  ['hidden, and a little late', 1_180],
])('%s: a hop that answers lives, and one that does not is given up within seconds', async (_, grainMs) => {
  const hop = watchedHop(grainMs)
  await vi.advanceTimersByTimeAsync(60_000)
  expect(hop.lost).toEqual([])
  expect(hop.pings).toBeGreaterThan(20)
  hop.answers = false
  await vi.advanceTimersByTimeAsync(3_500 + 3 * grainMs)
  expect(hop.lost.map(({ code }) => code)).toEqual(['PEER_TIMEOUT'])
})

test('a page that is throttled to a timer a minute gives a silent hop up too', async () => {
  const hop = watchedHop(60_000)
  hop.answers = false
  await vi.advanceTimersByTimeAsync(6 * 60_000)
  expect(hop.lost.map(({ code }) => code)).toEqual(['PEER_TIMEOUT'])
})

test('our own standing still is no silence of the hop: what lay unread is read first', async () => {
  const hop = watchedHop(0)
  await vi.advanceTimersByTimeAsync(2_000)
  const realNow = performance.now.bind(performance)
  const clock = vi.spyOn(performance, 'now').mockImplementation(() => realNow() + 20_000)
  await vi.advanceTimersByTimeAsync(5_000)
  expect(hop.lost).toEqual([])
  clock.mockRestore()
})
