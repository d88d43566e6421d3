/** The route of an answer: one piece a hop, as wide as its share of the blocks. */
import { formatSpan } from '../../../swarm/span.ts'
import { useTexts } from '../services.ts'
import type { HopView } from '../state/chat-types.ts'
import { shortPeerId } from '../state/swarm.ts'

export function RouteStrip({ route, line }: { route: readonly HopView[]; line: string | undefined }) {
  const { chat } = useTexts().messages
  return (
    <ol class="route" aria-label={chat.route} data-testid="chat-route" title={line}>
      {route.map((hop, i) => (
        <li
          key={i}
          class={`route-hop route-hop-${i % 4} ${hop.direct ? '' : 'is-relayed'}`}
          style={{ '--blocks': hop.span.end - hop.span.start }}
          data-peer={hop.peerId}
          title={hop.peerId}
        >
          <span class="sr-only">
            {chat.hop(formatSpan(hop.span), shortPeerId(hop.peerId), hop.direct ? chat.direct : chat.relayed)}
          </span>
          <span aria-hidden="true" class="route-span">
            {formatSpan(hop.span)}
          </span>
          <span aria-hidden="true" class="route-peer">
            {shortPeerId(hop.peerId)}
            {hop.direct ? '' : ` · ${chat.relayed}`}
          </span>
        </li>
      ))}
    </ol>
  )
}
