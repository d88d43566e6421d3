import { signal } from '@preact/signals'
import { expect, test } from 'vitest'
import type { ScreenLockDevice } from '../../../../../web/ui/state/ports.ts'
import { createScreenLock } from '../../../../../web/ui/state/screen-lock.ts'

const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

/** A browser's screen: `look` is what the person does, `seize` what the browser does. */
class FakeScreen implements ScreenLockDevice {
  held = 0
  requests = 0
  refusal: Error | null = null
  #isVisible = true
  #onVisibility: () => void = () => {}
  #onReleased: (() => void) | null = null

  async request(onReleased: () => void): Promise<() => Promise<void>> {
    this.requests += 1
    if (this.refusal !== null) throw this.refusal
    this.held += 1
    this.#onReleased = onReleased
    return async () => this.seize()
  }
  isVisible = (): boolean => this.#isVisible
  onVisibility(listener: () => void): void {
    this.#onVisibility = listener
  }

  seize(): void {
    const tell = this.#onReleased
    this.#onReleased = null
    if (tell === null) return
    this.held -= 1
    tell()
  }

  look(isVisible: boolean): void {
    this.#isVisible = isVisible
    // As browsers do it: the lock of a hidden tab is taken first.
    if (!isVisible) this.seize()
    this.#onVisibility()
  }
}

test('is held while it is wanted, and given back', async () => {
  const screen = new FakeScreen()
  const wanted = signal(false)
  const state = createScreenLock(screen, wanted)
  await settled()
  expect([state.peek().status, screen.requests]).toEqual(['off', 0])
  wanted.value = true
  await settled()
  expect([state.peek().status, screen.held]).toEqual(['held', 1])
  wanted.value = false
  await settled()
  expect([state.peek().status, screen.held]).toEqual(['off', 0])
})

test('a tab out of sight loses it, says so, and asks again when it is seen', async () => {
  const screen = new FakeScreen()
  const state = createScreenLock(screen, signal(true))
  await settled()
  screen.look(false)
  await settled()
  expect([state.peek().status, screen.held]).toEqual(['hidden', 0])
  screen.look(true)
  await settled()
  expect([state.peek().status, screen.held, screen.requests]).toEqual(['held', 1, 2])
})

test('not wanted any more while out of sight, it is not asked for again', async () => {
  const screen = new FakeScreen()
  const wanted = signal(true)
  const state = createScreenLock(screen, wanted)
  await settled()
  screen.look(false)
  wanted.value = false
  screen.look(true)
  await settled()
  expect([state.peek().status, screen.held, screen.requests]).toEqual(['off', 0, 1])
})

test('a refusal is told in the browser’s words, and tried again when the tab is next seen', async () => {
  const screen = new FakeScreen()
  screen.refusal = new Error('the battery is low')
  const state = createScreenLock(screen, signal(true))
  await settled()
  expect(state.peek()).toMatchObject({
    status: 'refused',
    reason: expect.stringContaining('the battery is low') as string,
  })
  screen.refusal = null
  screen.look(false)
  screen.look(true)
  await settled()
  expect(state.peek().status).toBe('held')
})

test('wanted and unwanted faster than the browser answers, what was said last counts', async () => {
  const screen = new FakeScreen()
  const wanted = signal(true)
  const state = createScreenLock(screen, wanted)
  wanted.value = false
  wanted.value = true
  wanted.value = false
  await settled()
  expect([state.peek().status, screen.held]).toEqual(['off', 0])
})

test('a browser without it says so', () => {
  expect(createScreenLock(null, signal(true)).peek()).toEqual({ status: 'unsupported' })
})
