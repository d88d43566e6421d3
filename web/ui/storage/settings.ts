/** Settings in localStorage; a browser that refuses it keeps them for the visit. */
import type { SettingsStorage } from '../state/ports.ts'

const PREFIX = 'tabswarm.'

export function createSettingsStorage(storage: () => Storage): SettingsStorage {
  const visit = new Map<string, string>()
  const local = accessible(storage)
  return {
    get: (key) => visit.get(key) ?? local?.getItem(PREFIX + key) ?? null,
    set(key, value) {
      visit.set(key, value)
      try {
        local?.setItem(PREFIX + key, value)
      } catch {
        // Full or refused: the value is kept for this visit.
      }
    },
  }
}

/** Reading the property itself throws where storage is blocked. */
function accessible(storage: () => Storage): Storage | null {
  try {
    return storage()
  } catch {
    return null
  }
}
