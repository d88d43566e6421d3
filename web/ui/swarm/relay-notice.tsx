/** One sentence, in every view, while a relay that announced its restart is away. */
import { useServices, useTexts } from '../services.ts'

export function RelayNotice() {
  const { swarm } = useServices()
  const text = useTexts().messages.swarm
  const relay = swarm.snapshot.value.relays.find(({ state }) => state === 'restarting')
  return (
    <div role="status">
      {relay !== undefined && (
        <p class="note relay-notice">
          {text.restarts(relay.backAfterMs === undefined ? null : Math.ceil(relay.backAfterMs / 1_000))}
        </p>
      )}
    </div>
  )
}
