/** When a tab pauses by itself, and whether the screen stays on: chosen at any time, kept for the next visit. */
import type { ComponentChildren } from 'preact'
import type { PauseReason } from '../../donor/pause-control.ts'
import type { Messages } from '../i18n/en.ts'
import { useServices, useTexts } from '../services.ts'
import type { PowerSettings } from '../state/power.ts'
import type { ScreenLockState } from '../state/screen-lock.ts'

export function PowerOptions() {
  const { power: state, screenLock } = useServices()
  const { power } = useTexts().messages
  const { onBattery, isMetered } = state.conditions.value
  const rules = state.rules.value
  const set = (change: Partial<PowerSettings>): void => {
    state.settings.value = { ...state.settings.peek(), ...change }
  }
  const lock = screenLock.value
  return (
    <section class="power" aria-labelledby="power-title">
      <h2 id="power-title">{power.title}</h2>
      <Choice
        name="battery"
        label={power.onBattery}
        isOn={onBattery !== null && rules.onBattery}
        isKnown={onBattery !== null}
        onChange={(pauseOnBattery) => set({ pauseOnBattery })}
      >
        {onBattery === null ? power.untold : onBattery ? power.batteryNow : power.pluggedNow}
        <SetAside reason="battery" holds={onBattery === true && rules.onBattery} />
      </Choice>
      <Choice
        name="metered"
        label={power.whenMetered}
        isOn={isMetered !== null && rules.whenMetered}
        isKnown={isMetered !== null}
        onChange={(pauseWhenMetered) => set({ pauseWhenMetered })}
      >
        {power.meteredHelp} {isMetered === null ? power.untold : isMetered ? power.meteredNow : power.unmeteredNow}
        <SetAside reason="metered" holds={isMetered === true && rules.whenMetered} />
      </Choice>
      <Choice
        name="screen"
        label={power.screen}
        isOn={lock.status !== 'unsupported' && state.settings.value.keepScreenOn}
        isKnown={lock.status !== 'unsupported'}
        onChange={(keepScreenOn) => set({ keepScreenOn })}
      >
        {power.screenHelp}{' '}
        {state.settings.value.keepScreenOn || lock.status === 'unsupported' ? lockText(lock, power) : ''}
      </Choice>
    </section>
  )
}

interface ChoiceProps {
  name: string
  label: string
  isOn: boolean
  isKnown: boolean
  onChange: (isOn: boolean) => void
  children: ComponentChildren
}

function Choice({ name, label, isOn, isKnown, onChange, children }: ChoiceProps) {
  return (
    <div class="choice">
      <input
        type="checkbox"
        id={`power-${name}`}
        data-testid={`power-${name}`}
        checked={isOn}
        disabled={!isKnown}
        aria-describedby={`power-${name}-help`}
        onChange={(event) => onChange(event.currentTarget.checked)}
      />
      <label for={`power-${name}`}>{label}</label>
      <p class="help" id={`power-${name}-help`}>
        {children}
      </p>
    </div>
  )
}

/** A reason that holds, and a tab that serves in spite of it. */
function SetAside({ reason, holds }: { reason: PauseReason; holds: boolean }) {
  const { donating } = useServices()
  const { power } = useTexts().messages
  const state = donating.state.value
  const isServing = state.status === 'serving' && state.duty === 'serving'
  return holds && isServing ? <span data-testid={`set-aside-${reason}`}> {power.setAside}</span> : null
}

function lockText(lock: ScreenLockState, power: Messages['power']): string {
  return lock.status === 'refused' ? power.screenRefused(lock.reason) : power.screenNow[lock.status]
}
