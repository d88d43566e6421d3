/**
 * The probe of a serving tab: is there a place at a relay, which addresses does the browser offer, and by which way does a second
 * peer, made here for this and ended right after, come to the first. The serving peer goes on as it is.
 */
import type { ServingNode } from '../../net/types.ts'
import { describeError, SwarmError } from '../../swarm/errors.ts'
import type { DialFinding, ReachFindings, RelayFinding } from '../../swarm/reach.ts'
import type { ReachPort } from '../ui/state/ports.ts'
import { gatherAddresses } from './ice-addresses.ts'
import type { PageConfig } from './page-config.ts'

/** A tab that has just begun to serve gets its place within a second or two. */
const PLACE_MS = 6_000
const JOIN_MS = 10_000
const DIAL_MS = 30_000
const DIRECT_PATIENCE_MS = 10_000

export class PageReach implements ReachPort {
  readonly #config: PageConfig
  readonly #node: () => ServingNode | null

  constructor(config: PageConfig, node: () => ServingNode | null) {
    this.#config = config
    this.#node = node
  }

  async probe(onFound: (found: Partial<ReachFindings>) => void, signal: AbortSignal): Promise<ReachFindings> {
    const node = this.#node()
    if (node === null) throw new SwarmError('CANCELLED', 'nothing is served here')
    const { until } = await import('../../net/probe-steps.ts')
    const found = await until(PLACE_MS, () => placeOf(node), signal)
    const relay = found ?? withoutPlace(node)
    onFound({ relay })
    const addresses = await gatherAddresses(this.#config.app.iceServers, signal)
    signal.throwIfAborted()
    onFound({ relay, addresses })
    const dial: DialFinding =
      relay.outcome === 'reserved'
        ? await this.#dial(node, addresses.outcome === 'none' ? 0 : DIRECT_PATIENCE_MS, signal)
        : { outcome: 'skipped' }
    return { relay, addresses, dial }
  }

  async #dial(node: ServingNode, patienceMs: number, signal: AbortSignal): Promise<DialFinding> {
    const [{ createRequestingNode }, { browserPlatform }, { joined, pathTo }] = await Promise.all([
      import('../../net/node.ts'),
      import('../../net/platform-browser.ts'),
      import('../../net/probe-steps.ts'),
    ])
    const asking = await createRequestingNode({
      relays: node.relays().map(({ address }) => address),
      iceServers: this.#config.app.iceServers,
      modelDigests: [],
      platform: browserPlatform,
      directory: this.#config.app.developer?.directory ?? 'on',
      log: (line) => console.debug(`probe: ${line}`),
    })
    try {
      const status = await joined(asking, JOIN_MS, signal)
      if (status?.state !== 'connected') {
        return { outcome: 'failed', reason: status?.reason ?? 'the second peer could not join' }
      }
      const within = AbortSignal.any([signal, AbortSignal.timeout(DIAL_MS)])
      return { outcome: await pathTo({ asking, peerId: node.peerId, patienceMs, signal: within }) }
    } catch (error) {
      signal.throwIfAborted()
      return { outcome: 'failed', reason: describeError(error) }
    } finally {
      await asking.stop()
    }
  }
}

/** Once decided: a place, or no way to one. */
function placeOf(node: ServingNode): RelayFinding | undefined {
  const states = node.relays()
  const isConnected = states.some(({ state }) => state === 'connected')
  // Our own signed record names the relays that hold a place for us.
  const [address] = node.directory.get(node.peerId)?.relays ?? []
  if (isConnected) return address === undefined ? undefined : { outcome: 'reserved', address }
  return states.some(({ state }) => state === 'connecting' || state === 'restarting') ? undefined : withoutPlace(node)
}

function withoutPlace(node: ServingNode): RelayFinding {
  const states = node.relays()
  const connected = states.find(({ state }) => state === 'connected')
  if (connected !== undefined) return { outcome: 'unreserved', address: connected.address }
  const refused = states.find(({ state }) => state === 'refused')
  const reason = refused?.reason ?? states[0]?.reason ?? ''
  return { outcome: refused === undefined ? 'none' : 'refused', reason }
}
