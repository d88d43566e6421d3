/** Timers that a busy event loop does not deceive. */
import { expect, test, vi } from 'vitest'
import { afterWaiting, ProgressDeadline } from '../../../net/timers.ts'

function standStill(ms: number): void {
  const until = performance.now() + ms
  while (performance.now() < until);
}

test('what came while our own loop stood still is read before the time is up', async () => {
  const order: string[] = []
  const done = new Promise<void>((resolve) => {
    afterWaiting(80, () => {
      order.push('time')
      resolve()
    })
  })
  standStill(300)
  // As a message that arrived meanwhile: events come after the timers that are due.
  setImmediate(() => order.push('read'))
  await done
  expect(order).toEqual(['read', 'time'])
})

test('a loop that always stands still does not wait for ever, and a cancelled timer never comes', async () => {
  const onCancelled = vi.fn<() => void>()
  afterWaiting(20, onCancelled).cancel()
  let isOver = false
  const done = new Promise<void>((resolve) => {
    afterWaiting(60, () => {
      isOver = true
      resolve()
    })
  })
  const block = (): void => {
    if (isOver) return
    standStill(120)
    setTimeout(block, 0)
  }
  block()
  await done
  expect(onCancelled).not.toHaveBeenCalled()
})

test('a hidden page has a timer a second, and that is waiting: the time is up at the first that comes after it', async () => {
  vi.useFakeTimers()
  vi.stubGlobal('document', { hidden: true })
  const real = globalThis.setTimeout
  vi.spyOn(globalThis, 'setTimeout').mockImplementation(((run: () => void, ms = 0) =>
    real(run, Math.max(ms, 1_050))) as typeof setTimeout)
  try {
    const onTime = vi.fn<() => void>()
    afterWaiting(1_500, onTime)
    await vi.advanceTimersByTimeAsync(1_900)
    expect(onTime).not.toHaveBeenCalled()
    await vi.advanceTimersByTimeAsync(300)
    expect(onTime).toHaveBeenCalledOnce()
  } finally {
    vi.restoreAllMocks()
    vi.unstubAllGlobals()
    vi.useRealTimers()
  }
})

test('a deadline moves with progress, up to its end', () => {
  vi.useFakeTimers()
  try {
    const deadline = new ProgressDeadline(100, 250)
    vi.advanceTimersByTime(90)
    deadline.progress()
    vi.advanceTimersByTime(90)
    deadline.progress()
    expect(deadline.signal.aborted).toBe(false)
    vi.advanceTimersByTime(90)
    expect(deadline.reason).toBe('not done after 250 ms')
    expect(deadline.signal.aborted).toBe(true)

    const quiet = new ProgressDeadline(100, 250)
    vi.advanceTimersByTime(101)
    expect(quiet.reason).toBe('no progress for 100 ms')

    const over = new ProgressDeadline(100, 250)
    over.stop()
    over.progress()
    vi.advanceTimersByTime(1_000)
    expect(over.signal.aborted).toBe(false)
  } finally {
    vi.useRealTimers()
  }
})
