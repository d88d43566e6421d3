/** A link that names relays of its own only prefills: nothing is dialled before this is answered. */
import { useServices, useTexts } from '../services.ts'

export function JoinQuestion() {
  const { swarm } = useServices()
  const text = useTexts().messages.swarm
  const snapshot = swarm.snapshot.value
  if (snapshot.state !== 'asking') return null
  return (
    <div class="note note-warn join-question">
      <div class="note-body">
        <h2>{text.askTitle}</h2>
        <p>{text.ask}</p>
        <ul>
          {snapshot.relays.map((relay) => (
            <li key={relay.address}>
              <code>{relay.address}</code>
            </li>
          ))}
        </ul>
        <button type="button" class="button" data-testid="swarm-join" onClick={() => void swarm.join()}>
          {text.join}
        </button>
      </div>
    </div>
  )
}
