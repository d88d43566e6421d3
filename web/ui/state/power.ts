/** When a donor tab pauses by itself: what the browser tells of battery and connection, and what its owner has chosen. */
import { computed, effect, signal, type ReadonlySignal, type Signal } from '@preact/signals'
import type { PauseRules, PowerConditions, PowerPort } from '../../donor/pause-control.ts'
import type { PowerDevice } from './ports.ts'

/** null: nobody has chosen, the default counts. */
export interface PowerSettings {
  pauseOnBattery: boolean | null
  pauseWhenMetered: boolean | null
  keepScreenOn: boolean
}

export const DEFAULT_POWER: PowerSettings = { pauseOnBattery: null, pauseWhenMetered: null, keepScreenOn: false }

export interface Power {
  readonly conditions: ReadonlySignal<PowerConditions>
  readonly rules: ReadonlySignal<PauseRules>
  readonly settings: Signal<PowerSettings>
  /** What a donor asks. */
  readonly port: PowerPort
}

export interface PowerOptions {
  device: PowerDevice
  settings: Signal<PowerSettings>
  /** A person's tab pauses; one that a command has opened was asked for on a machine that its owner knows. */
  pausesByDefault: boolean
}

export function createPower({ device, settings, pausesByDefault }: PowerOptions): Power {
  const conditions = signal(device.read())
  device.onChange(() => {
    conditions.value = device.read()
  })
  const rules = computed<PauseRules>(() => ({
    onBattery: settings.value.pauseOnBattery ?? pausesByDefault,
    whenMetered: settings.value.pauseWhenMetered ?? pausesByDefault,
  }))
  const port: PowerPort = {
    conditions: () => conditions.peek(),
    rules: () => rules.peek(),
    onChange: (listener) => {
      let isFirst = true
      return effect(() => {
        void [conditions.value, rules.value]
        if (!isFirst) listener()
        isFirst = false
      })
    },
  }
  return { conditions, rules, settings, port }
}

/** Reads what an older build may have written: what does not fit is as if nobody had chosen. */
export function readPower(stored: string | null): PowerSettings {
  if (stored === null) return DEFAULT_POWER
  let value: unknown
  try {
    value = JSON.parse(stored)
  } catch {
    return DEFAULT_POWER
  }
  if (typeof value !== 'object' || value === null) return DEFAULT_POWER
  const v = value as Record<string, unknown>
  return {
    pauseOnBattery: choice(v['pauseOnBattery']),
    pauseWhenMetered: choice(v['pauseWhenMetered']),
    keepScreenOn: v['keepScreenOn'] === true,
  }
}

function choice(value: unknown): boolean | null {
  return typeof value === 'boolean' ? value : null
}
