/** What `start` prints when it is up: where to go, what to copy, who serves what, and that it is ready. */
import { visibleAddressesLine } from '../../relay/addresses.ts'
import type { ModelOffer } from '../../swarm/app-config.ts'
import { formatSpan } from '../../swarm/span.ts'
import type { Output } from '../output/console.ts'
import { shortPeer } from '../prompt/ask.ts'
import type { TabStatus } from '../tabs/donor-tab.ts'

export interface ShownSwarm {
  relay: { pageUrl: string; addresses: readonly string[] }
  offer: ModelOffer
  /** By tab; empty without tabs. */
  statuses: readonly TabStatus[]
  output: Output
}

export function showSwarm({ relay, offer, statuses, output }: ShownSwarm): void {
  const page = relay.pageUrl.endsWith('/') ? relay.pageUrl : `${relay.pageUrl}/`
  output.line('')
  output.line(`Page:    ${page}`)
  output.line(`Donate:  ${page}?donate`)
  output.line(visibleAddressesLine(relay.addresses))
  output.line(`Model:   ${offer.repo} (${offer.blocks} blocks, revision ${offer.revision.slice(0, 12)})`)
  statuses.forEach((status, index) => output.line(describeTab(status, index)))
  output.line(
    statuses.length === 0
      ? 'Ready: relay and page are up; tabs of others can join. Ctrl-C stops.'
      : 'Ready: open the page and ask something. Ctrl-C stops everything.',
  )
}

function describeTab(status: TabStatus, index: number): string {
  const span = status.span === undefined ? 'no blocks' : `blocks ${formatSpan(status.span)}`
  const speed = status.throughput === undefined ? '' : `, ${status.throughput.toFixed(2)} rps`
  return `Tab ${index}:   ${span}${speed} (${status.peerId === undefined ? 'no peer id' : shortPeer(status.peerId)})`
}
