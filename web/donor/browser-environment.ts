/** The donor's environment in a real tab: Worker, libp2p node, hub, IndexedDB, the page's own events. */
import { openModel, type ModelSource } from '../../hub/source.ts'
import { parseInitialPeers } from '../../net/multiaddr.ts'
import { createServingNode } from '../../net/serving-node.ts'
import { browserPlatform } from '../../net/platform-browser.ts'
import type { AppConfig } from '../../swarm/app-config.ts'
import type { PeerRecord } from '../../swarm/peer-record.ts'
import type { KeptWeights } from '../weights/kept-weights.ts'
import { openWeightCache } from '../weights/opfs-cache.ts'
import { SpanCounter } from '../weights/prepare-span.ts'
import { askToKeep } from '../weights/storage-room.ts'
import type { WeightCache } from '../weights/weight-cache.ts'
import { sha256 } from '../sha256.ts'
import { systemClock } from './clock.ts'
import { DonorStore } from './donor-store.ts'
import type { DonorEnvironment, PageEvent } from './environment.ts'
import type { PowerPort } from './pause-control.ts'
import { stayUnthrottled } from './unthrottled.ts'
import { openWorkerEngine, workerPort } from './worker-client.ts'

export interface BrowserEnvironmentOptions {
  config: Pick<AppConfig, 'relays' | 'iceServers' | 'developer'>
  /** Number of the identity within the browser's profile; null: a person's tab. */
  tab: number | null
  /** Starts `worker.ts` under the page's Trusted Types policy. */
  startWorker: () => Worker
  hubToken: () => string | undefined
  /** Records seen before the donor has joined. */
  knownRecords: (modelDigest: string) => readonly PeerRecord[]
  kept: KeptWeights
  /** This tab began or ended to use kept files, or the browser has said whether it keeps them. */
  onKeptChange: () => void
  power: PowerPort
  /** What the network has to say that is not the donor's own log. */
  netLog: (text: string) => void
}

export function browserEnvironment(options: BrowserEnvironmentOptions): DonorEnvironment {
  const { config } = options
  const directory = config.developer?.directory ?? 'on'
  const store = new DonorStore()
  let cache: Promise<WeightCache | null> | null = null
  /** A source is opened for each plan. */
  const counters = new WeakMap<ModelSource, SpanCounter>()
  return {
    clock: systemClock,
    random: () => Math.random(),
    print: (text) => console.log(text),
    sha256,
    openEngine: (choice) => openWorkerEngine(workerPort(options.startWorker()), choice),
    openModel: ({ repo, revision, hubUrl }, signal, onWait): Promise<ModelSource> => {
      const token = options.hubToken()
      return openModel({
        repo,
        hubUrl,
        signal,
        onWait,
        ...(revision === null ? {} : { revision }),
        ...(token === undefined ? {} : { token }),
      })
    },
    countFiles: async (source, modelConfig, { span, format }, signal) => {
      cache ??= openWeightCache({ onWarning: (warning) => options.netLog(warning.message) })
      const kept = await cache
      const counter = counters.get(source) ?? new SpanCounter({ source, config: modelConfig, cache: kept })
      counters.set(source, counter)
      return await counter.count(span, format, signal)
    },
    hubToken: options.hubToken,
    holdWeights: async (model, downloads, signal) => {
      // Nobody waits for it: a browser that asks the person has its answer when they give it.
      if (downloads) void askToKeep().then(options.onKeptChange)
      const release = await options.kept.hold(model, signal)
      options.onKeptChange()
      return () => release().finally(options.onKeptChange)
    },
    claimIdentity: () => store.claimIdentity(options.tab),
    join: ({ seed, modelDigest, initialPeers }) =>
      createServingNode({
        relays: initialPeers.length > 0 ? parseInitialPeers(initialPeers.join(',')) : config.relays,
        privateKey: seed,
        iceServers: config.iceServers,
        modelDigests: [modelDigest],
        platform: browserPlatform,
        directory,
        log: options.netLog,
        debug: options.netLog,
      }),
    speeds: store.speeds,
    deviceMemoryGb: (navigator as { deviceMemory?: number }).deviceMemory ?? null,
    knownRecords: options.knownRecords,
    directory,
    power: options.power,
    stayUnthrottled,
    onPageEvent,
  }
}

/** A page that the browser keeps for the way back is as good as frozen. */
const PAGE_EVENTS: readonly { name: string; target: () => EventTarget; event: PageEvent; ifKept?: PageEvent }[] = [
  { name: 'pagehide', target: () => globalThis, event: 'hide', ifKept: 'freeze' },
  { name: 'pageshow', target: () => globalThis, event: 'resume' },
  { name: 'freeze', target: () => document, event: 'freeze' },
  { name: 'resume', target: () => document, event: 'resume' },
  { name: 'online', target: () => globalThis, event: 'resume' },
]

function onPageEvent(listener: (event: PageEvent) => void): () => void {
  const undo = PAGE_EVENTS.map(({ name, target, event, ifKept = event }) => {
    const handler = (happened: Event): void => {
      listener(happened instanceof PageTransitionEvent && happened.persisted ? ifKept : event)
    }
    target().addEventListener(name, handler)
    return () => target().removeEventListener(name, handler)
  })
  return () => undo.forEach((remove) => remove())
}
