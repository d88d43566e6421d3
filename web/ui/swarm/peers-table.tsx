/** The serving tabs in words and figures. */
import type { PeerRecord } from '../../../swarm/peer-record.ts'
import { spanLength } from '../../../swarm/span.ts'
import { spanText } from '../donate/span-text.ts'
import { useTexts } from '../services.ts'
import { shortPeerId } from '../state/swarm.ts'

export function PeersTable({ records }: { records: readonly PeerRecord[] }) {
  const { messages, formats } = useTexts()
  const text = messages.swarm
  if (records.length === 0) return null
  return (
    <div class="scroll-x" tabIndex={0} role="group" aria-label={text.table}>
      <table class="peers" data-testid="swarm-table">
        <caption>{text.table}</caption>
        <thead>
          <tr>
            {[
              text.peer,
              text.state,
              text.blocks,
              text.speed,
              text.sessions,
              text.cache,
              text.weights,
              text.backend,
            ].map((head) => (
              <th key={head} scope="col">
                {head}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {records.map((record) => (
            <tr key={record.peerId} data-peer={record.peerId}>
              <th scope="row" title={record.peerId}>
                <code>{shortPeerId(record.peerId)}</code>
              </th>
              <td>{text.states[record.state]}</td>
              <td>
                {spanText(record.span)}
                {record.next !== undefined && <span class="fine"> {text.next(spanText(record.next))}</span>}
              </td>
              <td class="number">
                {record.blockStepsPerSecond > 0
                  ? formats.decimal(record.blockStepsPerSecond / spanLength(record.span))
                  : '–'}
              </td>
              <td class="number">{formats.integer(record.sessions)}</td>
              <td class="number">{formats.integer(record.cacheTokensLeft)}</td>
              <td>{record.weights}</td>
              <td>{record.backend}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  )
}
