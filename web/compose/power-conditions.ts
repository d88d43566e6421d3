/**
 * Battery and connection as the browser tells them: the Battery Status API and the Network Information API, which only
 * Chromium has. What is not told is null, never a guess.
 */
import type { PowerConditions } from '../donor/pause-control.ts'
import type { PowerDevice } from '../ui/state/ports.ts'

interface BatteryManager extends EventTarget {
  readonly charging: boolean
}
interface NetworkInformation extends EventTarget {
  readonly saveData?: boolean
  /** Phones and tablets only. */
  readonly type?: string
}
export interface PowerNavigator {
  getBattery?: () => Promise<BatteryManager>
  readonly connection?: NetworkInformation
}

/** The data saver changes without an event. */
const LOOK_AGAIN_MS = 2_000

export function powerConditions(navigator: PowerNavigator): PowerDevice {
  const { connection } = navigator
  let battery: BatteryManager | null = null
  const listeners = new Set<() => void>()
  const read = (): PowerConditions => ({
    onBattery: battery === null ? null : !battery.charging,
    isMetered: connection === undefined ? null : connection.saveData === true || connection.type === 'cellular',
  })
  let told = JSON.stringify(read())
  const look = (): void => {
    const now = JSON.stringify(read())
    if (now === told) return
    told = now
    for (const listener of listeners) listener()
  }
  navigator.getBattery?.().then(
    (manager) => {
      battery = manager
      manager.addEventListener('chargingchange', look)
      look()
    },
    // Refused by a policy of the page: it stays untold.
    () => undefined,
  )
  if (connection !== undefined) {
    connection.addEventListener('change', look)
    setInterval(look, LOOK_AGAIN_MS)
  }
  return {
    read,
    onChange: (listener) => void listeners.add(listener),
  }
}
