/** How other tabs come to this one, in a line with its reason and what to do; each step in a fold. */
import { useEffect } from 'preact/hooks'
import type { AddressFinding, DialFinding, ReachFindings, RelayFinding } from '../../../swarm/reach.ts'
import type { Messages } from '../i18n/en.ts'
import { ErrorNote } from '../parts/error-note.tsx'
import { useServices, useTexts } from '../services.ts'
import type { ReachState } from '../state/reach.ts'

/** Shown while the tab serves: what it finds is forgotten with it. */
export function ReachPanel() {
  const { reach } = useServices()
  const { messages, formats } = useTexts()
  const text = messages.reach
  const state = reach.state.value
  useEffect(() => {
    if (reach.isAutomatic) void reach.probe()
    return () => reach.forget()
  }, [reach])
  const found = state.status === 'probing' || state.status === 'done' ? state.found : null
  return (
    <div class="reach" data-testid="reach" data-verdict={state.status === 'done' ? state.reach.verdict : state.status}>
      <h2>{text.title}</h2>
      <div role="status">
        <Line state={state} />
      </div>
      {state.status === 'failed' && <ErrorNote error={state.error} />}
      {found !== null && (
        <details>
          <summary>{text.steps}</summary>
          <Steps found={found} />
        </details>
      )}
      <div class="row">
        <button
          type="button"
          class="button-quiet"
          disabled={state.status === 'probing'}
          onClick={() => void reach.probe()}
        >
          {state.status === 'idle' ? text.look : text.again}
        </button>
        {state.status === 'done' && <span class="fine">{formats.time(state.at)}</span>}
      </div>
    </div>
  )
}

function Line({ state }: { state: ReachState }) {
  const { reach: text } = useTexts().messages
  if (state.status === 'probing') return <p>{text.probing}</p>
  if (state.status !== 'done') return null
  const { verdict, why } = state.reach
  return (
    <p class={verdict === 'direct' ? '' : 'note note-warn'}>
      <span>
        <strong>{text.verdicts[verdict]}</strong> {text.whys[why]}
      </span>
    </p>
  )
}

function Steps({ found }: { found: Partial<ReachFindings> }) {
  const { reach: text } = useTexts().messages
  const { relay, addresses, dial } = found
  return (
    <dl class="facts">
      <dt>{text.stepRelay}</dt>
      <dd>{relay === undefined ? text.waiting : relayText(relay, text)}</dd>
      <dt>{text.stepAddresses}</dt>
      <dd>{addresses === undefined ? text.waiting : addressText(addresses, text)}</dd>
      <dt>{text.stepDial}</dt>
      <dd>{dial === undefined ? text.waiting : dialText(dial, text)}</dd>
    </dl>
  )
}

function relayText(relay: RelayFinding, { relay: text }: Messages['reach']): string {
  switch (relay.outcome) {
    case 'reserved':
    case 'unreserved':
      return text[relay.outcome](relay.address)
    case 'refused':
    case 'none':
      return text[relay.outcome](relay.reason)
    default:
      return relay satisfies never
  }
}

function addressText({ outcome, asked }: AddressFinding, { addresses: text }: Messages['reach']): string {
  return outcome === 'local' && !asked ? text.localUnasked : text[outcome]
}

function dialText(dial: DialFinding, { dial: text }: Messages['reach']): string {
  return dial.outcome === 'failed' ? text.failed(dial.reason) : text[dial.outcome]
}
