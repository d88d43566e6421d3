/** The Screen Wake Lock API of this page; null where the browser has none. */
import type { ScreenLockDevice } from '../ui/state/ports.ts'

export function screenLockDevice(): ScreenLockDevice | null {
  // Firefox before 126 has none, whatever the type says.
  const wakeLock = (navigator as { wakeLock?: WakeLock }).wakeLock
  if (wakeLock === undefined) return null
  return {
    async request(onReleased) {
      const sentinel = await wakeLock.request('screen')
      sentinel.addEventListener('release', onReleased, { once: true })
      return () => sentinel.release()
    },
    isVisible: () => document.visibilityState === 'visible',
    onVisibility(listener) {
      document.addEventListener('visibilitychange', listener)
    },
  }
}
