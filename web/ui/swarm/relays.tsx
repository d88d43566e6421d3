/** The swarm's relays and whether this page is connected to them. */
import { useTexts } from '../services.ts'
import type { RelayLine } from '../state/ports.ts'

export function Relays({ relays }: { relays: readonly RelayLine[] }) {
  const text = useTexts().messages.swarm
  return (
    <section class="relays" aria-labelledby="relays-title">
      <h2 id="relays-title">{text.relays}</h2>
      {relays.length === 0 && <p class="hint">{text.noRelays}</p>}
      <ul>
        {relays.map((relay) => (
          <li key={relay.address} class={`relay relay-${relay.state}`} data-state={relay.state}>
            <span class="status-light" aria-hidden="true" />
            <span class="relay-state">{text.relay[relay.state]}</span>
            <code class="relay-address">{relay.address}</code>
            {relay.reason !== undefined && <span class="fine">{relay.reason}</span>}
          </li>
        ))}
      </ul>
    </section>
  )
}
