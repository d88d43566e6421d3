import { signal } from '@preact/signals'
import { describe, expect, test } from 'vitest'
import { powerConditions, type PowerNavigator } from '../../../../../web/compose/power-conditions.ts'
import type { PowerConditions } from '../../../../../web/donor/pause-control.ts'
import { createPower, DEFAULT_POWER, readPower } from '../../../../../web/ui/state/power.ts'

function power(pausesByDefault = true) {
  let now: PowerConditions = { onBattery: false, isMetered: false }
  let tell = (): void => {}
  const settings = signal(DEFAULT_POWER)
  const made = createPower({
    device: { read: () => now, onChange: (listener) => (tell = listener) },
    settings,
    pausesByDefault,
  })
  const become = (change: Partial<PowerConditions>): void => {
    now = { ...now, ...change }
    tell()
  }
  return { power: made, settings, become }
}

describe('power', () => {
  test('a person’s tab pauses by default, a command’s does not, and what was chosen counts for both', () => {
    const person = power()
    const command = power(false)
    expect(person.power.rules.peek()).toEqual({ onBattery: true, whenMetered: true })
    expect(command.power.rules.peek()).toEqual({ onBattery: false, whenMetered: false })
    person.settings.value = { ...DEFAULT_POWER, pauseOnBattery: false }
    command.settings.value = { ...DEFAULT_POWER, pauseOnBattery: true }
    expect(person.power.rules.peek().onBattery).toBe(false)
    expect(command.power.rules.peek().onBattery).toBe(true)
  })

  test('a donor hears of conditions and of choices, until it stops listening', () => {
    const { power: made, settings, become } = power()
    let heard = 0
    const stop = made.port.onChange(() => (heard += 1))
    expect(heard).toBe(0)
    become({ onBattery: true })
    expect(made.port.conditions()).toEqual({ onBattery: true, isMetered: false })
    settings.value = { ...DEFAULT_POWER, pauseOnBattery: false }
    expect(made.port.rules().onBattery).toBe(false)
    expect(heard).toBe(2)
    settings.value = { ...settings.peek(), keepScreenOn: true }
    stop()
    become({ onBattery: false })
    expect(heard).toBe(3)
  })

  test.each([null, '', 'no', '[]', '{"pauseOnBattery":"yes","keepScreenOn":1}'])(
    'stored as %s is nothing chosen',
    (stored) => {
      expect(readPower(stored)).toEqual(DEFAULT_POWER)
    },
  )

  test('what was stored comes back', () => {
    const chosen = { pauseOnBattery: false, pauseWhenMetered: true, keepScreenOn: true }
    expect(readPower(JSON.stringify(chosen))).toEqual(chosen)
  })
})

describe('what a browser tells', () => {
  class Battery extends EventTarget {
    charging = true
  }
  class Connection extends EventTarget {
    saveData = false
    type = 'wifi'
  }
  const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

  test('nothing: both are untold', async () => {
    const device = powerConditions({})
    await settled()
    expect(device.read()).toEqual({ onBattery: null, isMetered: null })
  })

  test('a battery that a policy hides is untold', async () => {
    const device = powerConditions({ getBattery: () => Promise.reject(new Error('NotAllowedError')) })
    await settled()
    expect(device.read().onBattery).toBeNull()
  })

  test('battery, data saver and mobile data, each with a change', async () => {
    const battery = new Battery()
    const connection = new Connection()
    const navigator: PowerNavigator = { getBattery: () => Promise.resolve(battery), connection }
    const device = powerConditions(navigator)
    const heard: PowerConditions[] = []
    device.onChange(() => heard.push(device.read()))
    await settled()
    battery.charging = false
    battery.dispatchEvent(new Event('chargingchange'))
    connection.saveData = true
    connection.dispatchEvent(new Event('change'))
    connection.saveData = false
    connection.type = 'cellular'
    connection.dispatchEvent(new Event('change'))
    connection.type = 'wifi'
    connection.dispatchEvent(new Event('change'))
    expect(heard).toEqual([
      { onBattery: false, isMetered: false },
      { onBattery: true, isMetered: false },
      { onBattery: true, isMetered: true },
      { onBattery: true, isMetered: false },
    ])
  })
})
