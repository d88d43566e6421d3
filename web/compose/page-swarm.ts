/**
 * The page as a requesting peer: loads the libp2p part when it is first needed, joins, and shows the directory and the
 * relays as snapshots. Relays that only a link names are not dialled before `join` is called by a click.
 */
import type { RelayStatus, SwarmNode } from '../../net/types.ts'
import { SwarmError, type PlainError } from '../../swarm/errors.ts'
import { makeModelId } from '../../swarm/model-info.ts'
import type { RelayLine, SwarmModel, SwarmPort, SwarmSnapshot } from '../ui/state/ports.ts'
import { sha256 } from '../sha256.ts'
import { pageError } from '../ui/state/page-error.ts'
import { isSameRelay, type PageConfig } from './page-config.ts'

/** Records expire without an event; the page notices within this time. */
const EXPIRY_CHECK_MS = 5_000
/** Of each change; in a large swarm the route is found among the first ones, or dialled when it is chosen. */
const MAX_WARM_PEERS = 16
const COMMIT = /^[0-9a-f]{40,64}$/

export class PageSwarm implements SwarmPort {
  readonly #config: PageConfig
  readonly #listeners = new Set<() => void>()
  #offers: SwarmModel[] = []
  #node: SwarmNode | null = null
  #joining: Promise<SwarmNode> | null = null
  #agreed: boolean
  #error: PlainError | null = null
  #announced = false
  readonly #warmed = new Set<string>()
  readonly #dialled = new Set<string>()

  constructor(config: PageConfig) {
    this.#config = config
    this.#agreed = config.linkRelays.length === 0
  }

  /** Joins if nothing has to be asked first. */
  async joinUnlessAsking(): Promise<void> {
    if (this.#agreed) await this.join()
  }

  /**
   * A model was opened here: its tabs are looked for in the DHT too (its digest may be known only now), and connected to
   * ahead of need, so that the first answer does not wait for dialling.
   */
  warm(digest: string): void {
    this.#warmed.add(digest)
    this.#node?.follow(digest)
    this.#warmUp()
  }

  #warmUp(): void {
    const node = this.#node
    if (node === null) return
    const serving = [...this.#warmed]
      .flatMap((digest) => node.directory.records(digest))
      .filter((record) => record.state === 'online' && !this.#dialled.has(record.peerId))
      .slice(0, MAX_WARM_PEERS)
    if (serving.length === 0) return
    for (const { peerId } of serving) this.#dialled.add(peerId)
    node.warm(serving.map(({ peerId }) => peerId))
  }

  async join(): Promise<void> {
    this.#agreed = true
    try {
      await this.node()
    } catch {
      // The snapshot carries the error; the view shows it.
    }
  }

  /** The node, joined on first use. @throws SwarmError NO_RELAY, BAD_MULTIADDR */
  node(): Promise<SwarmNode> {
    if (!this.#agreed) {
      const error = new SwarmError('NO_RELAY', 'the swarm of this link was not joined yet', {
        action: 'Answer the question above first.',
      })
      return Promise.reject(error)
    }
    this.#joining ??= this.#join().catch((error: unknown) => {
      this.#joining = null
      this.#error = pageError(error)
      this.#notify()
      throw error
    })
    return this.#joining
  }

  snapshot(): SwarmSnapshot {
    const node = this.#node
    return {
      state: this.#state(),
      error: this.#error,
      relays: node === null ? this.#plannedRelays() : node.relays().map((status) => this.#lineOf(status)),
      models: node === null ? this.#offers : modelsOf(node, this.#offers),
    }
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  #state(): SwarmSnapshot['state'] {
    if (this.#node !== null) return 'joined'
    if (this.#joining !== null) return 'joining'
    if (this.#error !== null) return 'failed'
    return this.#agreed ? 'off' : 'asking'
  }

  #plannedRelays(): RelayLine[] {
    const { app, linkRelays } = this.#config
    return (this.#agreed ? [...app.relays, ...linkRelays] : linkRelays).map((address) => ({
      address,
      state: 'connecting',
    }))
  }

  #lineOf(status: RelayStatus): RelayLine {
    const isFromLink = this.#config.linkRelays.some((address) => isSameRelay(address, status.address))
    return { ...status, ...(isFromLink ? { isFromLink } : {}) }
  }

  async #join(): Promise<SwarmNode> {
    this.#error = null
    this.#notify()
    const { app, offers, linkRelays } = this.#config
    const [{ createRequestingNode }, { browserPlatform }, { parseInitialPeers }] = await Promise.all([
      import('../../net/node.ts'),
      import('../../net/platform-browser.ts'),
      import('../../net/multiaddr.ts'),
    ])
    const ids = await Promise.all(
      offers
        .filter((offer) => offer.blocks !== null && COMMIT.test(offer.revision))
        .map((offer) => makeModelId(offer.repo, offer.revision, offer.blocks ?? 0, sha256)),
    )
    this.#offers = ids.map((id) => ({ ...id, records: [] }))
    const node = await createRequestingNode({
      relays: [...app.relays, ...parseInitialPeers(linkRelays.join(','))],
      iceServers: app.iceServers,
      modelDigests: ids.map((id) => id.digest),
      platform: browserPlatform,
      directory: app.developer?.directory ?? 'on',
      log: (line) => console.debug(line),
      debug: (line) => console.debug(line),
    })
    this.#node = node
    const changed = () => {
      this.#warmUp()
      this.#notify()
    }
    for (const digest of this.#warmed) node.follow(digest)
    this.#warmUp()
    node.directory.onChange(changed)
    node.onRelayChange(changed)
    setInterval(changed, EXPIRY_CHECK_MS)
    addEventListener('pagehide', (event) => {
      if (!event.persisted) node.leaveNow()
    })
    // Whoever only asks says no goodbye: what was asked for arrives when the page runs again.
    document.addEventListener('resume', () => node.wake())
    addEventListener('pageshow', (event) => {
      if (event.persisted) node.wake()
    })
    addEventListener('online', () => node.wake())
    this.#notify()
    return node
  }

  /** Once for all changes of one turn: a relay's list of records comes as many. */
  #notify(): void {
    if (this.#announced) return
    this.#announced = true
    queueMicrotask(() => {
      this.#announced = false
      for (const listener of this.#listeners) listener()
    })
  }
}

function modelsOf(node: SwarmNode, offers: readonly SwarmModel[]): SwarmModel[] {
  const seen = node.directory.models().map((model) => ({ ...model, records: node.directory.records(model.digest) }))
  const unseen = offers.filter((offer) => !seen.some((model) => model.digest === offer.digest))
  return [...seen, ...unseen]
}
