/**
 * `tabswarm donate`: one donor tab without a window. Its page comes from this process on loopback, never from a relay, so
 * a relay elsewhere on a plain WebSocket will do. With `--dht-port` this process also runs a relay of its own, as every
 * server of the original did.
 */
import { availableParallelism } from 'node:os'
import { parseInitialPeers, peerIdOfAddress } from '../../net/multiaddr.ts'
import { makeRelayConfig } from '../../relay/config.ts'
import type { RelayLog } from '../../relay/log.ts'
import { MIRROR_BASE, Mirror } from '../../relay/mirror/mirror.ts'
import { startPageServer, type PageServer } from '../../relay/page-server.ts'
import { startRelay, type Relay, STOP_LIMIT_MS } from '../../relay/relay.ts'
import type { AppConfig, ModelOffer } from '../../swarm/app-config.ts'
import { PROTOCOL_VERSION } from '../../swarm/protocol.ts'
import type { Lifecycle } from '../lifecycle.ts'
import type { Parsed } from '../options/parse.ts'
import {
  browserOptions,
  computeOptions,
  EMBEDDED_MODEL,
  modelOptions,
  placementOptions,
  portOption,
} from '../options/shared.ts'
import { dataDir } from '../profile/data-dir.ts'
import { openSlot } from '../profile/open-slot.ts'
import type { Slot } from '../profile/slots.ts'
import { iceServersOf } from '../prompt/app-config.ts'
import type { Output } from '../output/console.ts'
import { relayLog } from '../output/relay-log.ts'
import { EMPTY_SWARM, findSwarm, type SwarmEntry } from '../prompt/swarm-entry.ts'
import { acceptedKeys } from '../trust/authority.ts'
import { openBrowser } from '../tabs/browser-session.ts'
import { checkDonorFits, donorDefaults } from '../tabs/donor-defaults.ts'
import { findHubToken } from '../tabs/hub-token.ts'
import { chooseDonorModel, modelsDirs, type ChosenModel } from '../tabs/model-offer.ts'
import { processorsPerTab } from '../tabs/start-tabs.ts'
import { openTabGroup } from '../tabs/tab-group.ts'
import { networkOptions } from '../options/network.ts'
import { command, type Runtime } from './command.ts'
import { refuseTls, refuseWords } from './words.ts'

const options = {
  ...modelOptions,
  ...placementOptions,
  ...computeOptions,
  ...networkOptions,
  modelsDir: modelOptions.modelsDir,
  hubUrl: modelOptions.hubUrl,
  ...browserOptions,
  port: portOption('runs a relay of its own in this process, on this port; without it none'),
}

type DonateParsed = Parsed<typeof options>

export const donateCommand = command<typeof options>({
  text: {
    name: 'donate',
    summary: 'a donor tab without a window, which joins a swarm and serves blocks.',
    examples: [
      'tabswarm donate --dht-initial-peers /ip4/203.0.113.7/tcp/8080/ws/p2p/12D3KooW…',
      'tabswarm donate --model meta-llama/Llama-3.1-8B --num_blocks 8 --dht_port 8002 --public_ip 203.0.113.7',
      'tabswarm donate --splits "8,16,24" --stage 1 --dht-initial-peers …',
    ],
  },
  options,
  linesTo: () => 'stdout',
  async run(parsed, runtime, output) {
    refuseWords('donate', parsed.words)
    refuseTls('donate', parsed.values)
    return new Donate(parsed, runtime, output).run()
  },
})

class Donate {
  readonly #parsed: DonateParsed
  readonly #values: DonateParsed['values']
  readonly #runtime: Runtime
  readonly #output: Output
  readonly #lifecycle: Lifecycle
  readonly #log: RelayLog
  readonly #slot: Slot

  constructor(parsed: DonateParsed, runtime: Runtime, output: Output) {
    this.#parsed = parsed
    this.#values = parsed.values
    this.#runtime = runtime
    this.#output = output
    this.#lifecycle = runtime.lifecycle
    const log = relayLog(this.#values.logFormat, (line) => output.progress(line))
    this.#log = { ...log, print: (line) => output.line(line) }
    this.#slot = openSlot(this.#values, this.#lifecycle)
  }

  async run(): Promise<number> {
    const { signal } = this.#lifecycle
    donorDefaults(this.#values, this.#values.model ?? EMBEDDED_MODEL)
    const swarm = await this.#findSwarm()
    const { model, revision, hubUrl } = this.#values
    const token = findHubToken()
    const wish = { model, revision, hubUrl, hubUrlGiven: this.#parsed.given.has('hubUrl'), token }
    const dirs = modelsDirs(this.#runtime.root, this.#values.modelsDir)
    const reading = { signal, onWait: (sentence: string) => this.#output.progress(sentence) }
    const chosen = await chooseDonorModel(wish, dirs, swarm.entries, EMBEDDED_MODEL, reading)
    checkDonorFits(this.#values, chosen.repo, chosen.config.numHiddenLayers)
    const relay = this.#values.port === undefined ? null : await this.#startRelay(this.#values.port, chosen, dirs)
    const page = await this.#startPage(swarm, relay, chosen, dirs)
    const browser = await openBrowser({
      ...this.#values,
      port: page.port,
      acceptedKeys: await this.#acceptedKeys(swarm),
      slot: this.#slot,
      lifecycle: this.#lifecycle,
      output: this.#output,
    })
    const group = await openTabGroup({
      context: browser.context,
      count: 1,
      // Slots are taken from the lowest: so many of this machine's processes have a tab at least, this one included.
      query: {
        threads: String(this.#values.threads ?? processorsPerTab(availableParallelism(), this.#slot.index + 1)),
      },
      token: chosen.needsToken ? token : null,
      output: this.#output,
      signal,
    })
    this.#lifecycle.onClose('tab', () => group.close())
    const ended = await Promise.race([this.#lifecycle.untilInterrupted().then(() => null), group.firstEnd()])
    if (ended === null) return 0
    throw ended.error
  }

  /** A first server with a port of its own needs nobody. */
  async #findSwarm(): Promise<SwarmEntry> {
    const given = parseInitialPeers(this.#values.dhtInitialPeers)
    if (given.length === 0 && this.#values.port !== undefined) return EMPTY_SWARM
    return findSwarm(given, this.#lifecycle.signal)
  }

  async #acceptedKeys({ relays }: SwarmEntry): Promise<string[]> {
    const { ca } = this.#values
    return ca === undefined ? [] : acceptedKeys(ca, relays)
  }

  async #startRelay(port: number, chosen: ChosenModel, dirs: readonly string[]): Promise<Relay> {
    const values = this.#values
    // A donor that ends is not one that restarts, unless somebody says so.
    const restartAfter = this.#parsed.given.has('restartAfter') ? values.restartAfter : 0
    const config = makeRelayConfig(
      { ...values, port, restartAfter, keyFile: values.keyFile ?? this.#slot.relayKeyFile, modelsDir: dirs },
      {
        dataDir: dataDir(values.dataDir),
        webRoot: this.#runtime.webRoot,
        // What this server serves is its own business; its page's visitors choose for themselves.
        donor: { model: chosen.repo },
        offers: chosen.offer === null ? [] : [chosen.offer],
      },
    )
    const relay = await startRelay(config, this.#log)
    this.#lifecycle.onClose('relay', () => relay.stop({ announce: true }), STOP_LIMIT_MS)
    return relay
  }

  /** The tab's page, on loopback only. */
  async #startPage(
    swarm: SwarmEntry,
    relay: Relay | null,
    chosen: ChosenModel,
    dirs: readonly string[],
  ): Promise<PageServer> {
    const mirror = new Mirror({ modelsDirs: dirs, cacheFile: null, log: this.#log })
    this.#lifecycle.onClose('mirror', () => mirror.stop())
    const own = relay === null ? [] : [ownRelayAddress(relay)]
    const isOff = this.#values.directory === 'off' || swarm.directory === 'off'
    const configs = swarm.entries.map((entry) => entry.config)
    const appConfig = async (): Promise<AppConfig> => ({
      version: PROTOCOL_VERSION,
      relays: onePerPeer([...own, ...swarm.relays]),
      models: chosen.offer === null ? firstOf(await mirror.offers(), chosen.repo) : [chosen.offer],
      hubUrl: this.#values.hubUrl,
      iceServers: iceServersOf([...(relay === null ? [] : [await relay.appConfig()]), ...configs]),
      donor: donorDefaults(this.#values, chosen.repo),
      ...(isOff ? { developer: { directory: 'off' } } : {}),
    })
    const server = await startPageServer({
      port: 0,
      host: '127.0.0.1',
      webRoot: this.#runtime.webRoot,
      appConfig,
      mirror,
      log: this.#log,
      hubCdnOrigins: this.#values.hubCdn,
    })
    this.#lifecycle.onClose('page', () => server.stop())
    this.#lifecycle.signal.throwIfAborted()
    return server
  }
}

/** The mirror's path on the page's own origin; only the chosen model is this tab's. */
function firstOf(offers: readonly ModelOffer[], repo: string): ModelOffer[] {
  return offers.filter((offer) => offer.repo === repo).map((offer) => ({ ...offer, hubUrl: MIRROR_BASE }))
}

/** Through loopback: a public address may not be reachable from inside. */
function ownRelayAddress(relay: Relay): string {
  const peerId = peerIdOfAddress(relay.addresses[0] ?? '')
  return `/ip4/127.0.0.1/tcp/${relay.port}/ws/p2p/${peerId ?? ''}`
}

/** A relay is one peer, whatever the number of its addresses. */
function onePerPeer(addresses: readonly string[]): string[] {
  const byPeer = new Map<string, string>()
  for (const address of addresses) {
    const peerId = peerIdOfAddress(address) ?? address
    if (!byPeer.has(peerId)) byPeer.set(peerId, address)
  }
  return [...byPeer.values()]
}
