/** What the owner of a serving tab may ask of it: Pause, Finish, Stop, and the way back; each says what it does. */
import { formatBlockRanges } from '../../../swarm/span.ts'
import type { DonorState } from '../../donor/state.ts'
import type { Messages } from '../i18n/en.ts'
import { useServices, useTexts } from '../services.ts'
import type { Donating } from '../state/donating.ts'

type Serving = Extract<DonorState, { status: 'serving' }>

interface Control {
  /** Where it stands: what comes to the same place keeps the focus of whoever pressed it. */
  place: 'pause' | 'finish' | 'stop'
  name: string
  label: string
  help: string
  look: string
  press: () => void
}

export function DutyControls({ state }: { state: Serving }) {
  const { donating } = useServices()
  const { messages } = useTexts()
  return (
    <>
      <OnlyHere state={state} />
      <ul class="duty" data-duty={state.duty}>
        {controlsOf(state, donating, messages).map(({ place, name, label, help, look, press }) => (
          <li key={place}>
            <button
              type="button"
              class={`button ${look}`}
              data-testid={`donate-${name}`}
              aria-describedby={`duty-${place}`}
              onClick={press}
            >
              {label}
            </button>
            <p class="help" id={`duty-${place}`}>
              {help}
            </p>
          </li>
        ))}
      </ul>
    </>
  )
}

function controlsOf(state: Serving, donating: Donating, { duty, donate }: Messages): Control[] {
  const stop: Control = {
    place: 'stop',
    name: 'stop',
    label: donate.stop,
    help: duty.stopHelp,
    look: 'button-stop',
    press: () => void donating.stop(),
  }
  const pause: Control = {
    place: 'pause',
    name: 'pause',
    label: duty.pause,
    help: duty.pauseHelp,
    look: 'button-second',
    press: () => donating.pause(),
  }
  const resume = { name: 'resume', press: () => donating.resume() }
  switch (state.duty) {
    case 'serving':
    case 'loading': {
      const { finish: label, finishHelp: help } = duty
      const press = (): void => donating.finish()
      return [pause, { place: 'finish', name: 'finish', label, help, look: 'button-second', press }, stop]
    }
    case 'pausing':
    case 'paused': {
      const help = state.isLoaded ? duty.resumeHelp : duty.resumeLoads
      return [{ ...resume, place: 'pause', label: duty.resume, help, look: '' }, stop]
    }
    case 'finishing':
      return [pause, { ...resume, place: 'finish', label: duty.goOn, help: duty.goOnHelp, look: 'button-second' }, stop]
    default:
      return state.duty satisfies never
  }
}

/** Whom it would leave waiting. */
function OnlyHere({ state }: { state: Serving }) {
  const { duty } = useTexts().messages
  if (state.onlyHere.length === 0) return null
  const blocks = [state.onlyHere.length, formatBlockRanges(state.onlyHere)] as const
  const isAway = state.duty === 'pausing' || state.duty === 'paused'
  return (
    <p class={isAway ? 'note' : 'help'} data-testid="donate-only-here">
      {isAway ? duty.waiting(...blocks) : duty.onlyHere(...blocks)}
    </p>
  )
}
