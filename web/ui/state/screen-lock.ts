/**
 * Keeps the screen on while that is wanted. A browser gives the lock to a visible tab only, takes it back when the tab is
 * hidden, and may refuse it (a low battery); it is asked for again when the tab is seen again. What is true now is the
 * signal.
 */
import { effect, signal, type ReadonlySignal } from '@preact/signals'
import { describeError } from '../../../swarm/errors.ts'
import type { ScreenLockDevice } from './ports.ts'

export type ScreenLockState =
  | { status: 'unsupported' }
  /** Not wanted now. */
  | { status: 'off' }
  | { status: 'held' }
  /** Wanted, but the tab is not in sight. */
  | { status: 'hidden' }
  /** The browser said no, or took it back; `reason` in its words. */
  | { status: 'refused'; reason: string }

export function createScreenLock(
  device: ScreenLockDevice | null,
  wanted: ReadonlySignal<boolean>,
): ReadonlySignal<ScreenLockState> {
  const state = signal<ScreenLockState>({ status: device === null ? 'unsupported' : 'off' })
  if (device === null) return state
  let release: (() => Promise<void>) | null = null
  /** Requests and releases one after another. */
  let work = Promise.resolve()

  const take = async (): Promise<void> => {
    try {
      release = await device.request(() => {
        release = null
        settle()
      })
      state.value = { status: 'held' }
    } catch (error) {
      // Hidden in this very moment: the next sight asks again.
      state.value = device.isVisible() ? { status: 'refused', reason: describeError(error) } : { status: 'hidden' }
    }
  }
  const apply = async (): Promise<void> => {
    if (!wanted.peek()) {
      const held = release
      release = null
      state.value = { status: 'off' }
      await held?.()
    } else if (!device.isVisible()) {
      state.value = { status: 'hidden' }
    } else if (release === null) {
      await take()
    }
  }
  const settle = (): void => {
    work = work.then(apply).catch((error: unknown) => {
      state.value = { status: 'refused', reason: describeError(error) }
    })
  }
  device.onVisibility(settle)
  effect(() => {
    void wanted.value
    settle()
  })
  return state
}
