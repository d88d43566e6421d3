/**
 * Pings between peers: eight bytes there, the same eight back, on one long-lived stream a peer. The answer is given in
 * the event handler, never by a timer, so that hidden tabs answer too. Pinging is done for peers with sessions (one a
 * second, three seconds of silence is death) and once when something hints that a peer is gone.
 */
import type { Connection, Libp2p, Stream } from '@libp2p/interface'
import { HEARTBEAT_DEAD_MS, HEARTBEAT_INTERVAL_MS } from '../swarm/limits.ts'
import { LIVENESS_PROTOCOL } from '../swarm/protocol.ts'
import { afterWaiting, timerGrainMs } from './timers.ts'

const PING_BYTES = 8
/** An answerer takes this much at once; a peer that sends more is not pinging. */
const MAX_PING_CHUNK_BYTES = 512
/** Looked at twice a beat, so that three seconds of silence are not nearly four. */
const TICK_MS = HEARTBEAT_INTERVAL_MS / 2
/**
 * A tick that comes later than this: our own loop stood still, and that time is no silence of anybody. Shorter stalls cannot
 * make up three seconds: what came meanwhile is read between them.
 */
const OWN_STALL_MS = 1.5 * TICK_MS

export interface LivenessOptions {
  libp2p: Libp2p
  /** The open direct connection to a peer. */
  directConnection: (peerId: string) => Connection | null
  /** No answer for HEARTBEAT_DEAD_MS from a watched peer. */
  onDead: (peerId: string, silentMs: number) => void
}

interface Probe {
  stream: Promise<Stream> | null
  /** Sent pings without answer: number → when sent. */
  readonly pending: Map<number, { sentAt: number; onAnswer?: (ms: number) => void }>
  /** Who waits for a sign of life. */
  readonly askers: (() => void)[]
  buffered: number[]
  watchers: number
  lastHeardAt: number
  lastPingAt: number
  rttMs: number | null
}

export class Liveness {
  readonly #options: LivenessOptions
  readonly #probes = new Map<string, Probe>()
  #timer: ReturnType<typeof setInterval> | null = null
  #lastTickAt = 0
  #next = 1

  constructor(options: LivenessOptions) {
    this.#options = options
  }

  async start(): Promise<void> {
    await this.#options.libp2p.handle(LIVENESS_PROTOCOL, answerPings, { maxInboundStreams: 4 })
    this.#lastTickAt = performance.now()
    this.#timer = setInterval(() => this.#tick(), TICK_MS)
  }

  stop(): void {
    if (this.#timer !== null) clearInterval(this.#timer)
    this.#timer = null
    for (const peerId of this.#probes.keys()) this.forget(peerId)
  }

  /** Heartbeats to this peer until the returned function is called. */
  watch(peerId: string): () => void {
    const probe = this.#probe(peerId)
    probe.watchers += 1
    if (probe.watchers === 1) probe.lastHeardAt = performance.now()
    let isWatching = true
    return () => {
      if (!isWatching) return
      isWatching = false
      probe.watchers -= 1
    }
  }

  isWatched(peerId: string): boolean {
    return (this.#probes.get(peerId)?.watchers ?? 0) > 0
  }

  /** Anything that arrived from the peer is as good as an answer. */
  heard(peerId: string): void {
    const probe = this.#probes.get(peerId)
    if (probe === undefined) return
    probe.lastHeardAt = performance.now()
    for (const asker of probe.askers.splice(0)) asker()
  }

  rttMs(peerId: string): number | null {
    return this.#probes.get(peerId)?.rttMs ?? null
  }

  /**
   * Whether anything comes from the peer over its direct connection within the time: the answer to a ping, or a frame.
   * Time in which our own loop stood still does not count.
   */
  async ask(peerId: string, timeoutMs: number): Promise<boolean> {
    const probe = this.#probe(peerId)
    return new Promise<boolean>((resolve) => {
      const deadline = afterWaiting(timeoutMs, () => resolve(false))
      probe.askers.push(() => {
        deadline.cancel()
        resolve(true)
      })
      this.#ping(peerId, probe)
    })
  }

  /** One round trip over the direct connection, ms; null where no answer comes within the time. */
  async measure(peerId: string, timeoutMs: number): Promise<number | null> {
    return new Promise<number | null>((resolve) => {
      const deadline = afterWaiting(timeoutMs, () => resolve(null))
      this.#ping(peerId, this.#probe(peerId), (ms) => {
        deadline.cancel()
        resolve(ms)
      })
    })
  }

  /** Drops what is known of a peer that is gone. Watchers keep their count for the case that it comes back. */
  forget(peerId: string): void {
    const probe = this.#probes.get(peerId)
    if (probe === undefined) return
    this.#dropStream(probe)
    probe.rttMs = null
    if (probe.watchers === 0) this.#probes.delete(peerId)
  }

  #probe(peerId: string): Probe {
    let probe = this.#probes.get(peerId)
    if (probe === undefined) {
      probe = {
        stream: null,
        pending: new Map(),
        askers: [],
        buffered: [],
        watchers: 0,
        lastHeardAt: 0,
        lastPingAt: 0,
        rttMs: null,
      }
      this.#probes.set(peerId, probe)
    }
    return probe
  }

  #tick(): void {
    const now = performance.now()
    const stalledMs = now - this.#lastTickAt - TICK_MS
    this.#lastTickAt = now
    for (const [peerId, probe] of this.#probes) {
      if (probe.watchers === 0) continue
      // Without a direct connection there is nobody to ask: its end was told elsewhere, or it is being dialled again.
      if (this.#options.directConnection(peerId) === null) {
        probe.lastHeardAt = now
        continue
      }
      if (stalledMs > OWN_STALL_MS + timerGrainMs()) probe.lastHeardAt = Math.min(now, probe.lastHeardAt + stalledMs)
      const silentMs = now - probe.lastHeardAt
      // The next tick would be too late: dead means at most HEARTBEAT_DEAD_MS after the last sign of life.
      if (silentMs >= HEARTBEAT_DEAD_MS - TICK_MS) {
        probe.lastHeardAt = now
        this.#options.onDead(peerId, silentMs)
      } else if (now - probe.lastPingAt > HEARTBEAT_INTERVAL_MS - TICK_MS / 2) {
        probe.lastPingAt = now
        this.#ping(peerId, probe)
      }
    }
  }

  #ping(peerId: string, probe: Probe, onAnswer?: (ms: number) => void): void {
    const id = this.#next
    this.#next += 1
    this.#stream(peerId, probe)
      .then((stream) => {
        // From here on: the round trip is not to count the opening of the stream.
        probe.pending.set(id, { sentAt: performance.now(), ...(onAnswer === undefined ? {} : { onAnswer }) })
        // Throws on a stream that is closing: the next ping opens another.
        stream.send(encodePing(id))
      })
      .catch(() => this.#dropStream(probe))
  }

  #stream(peerId: string, probe: Probe): Promise<Stream> {
    if (probe.stream !== null) return probe.stream
    const connection = this.#options.directConnection(peerId)
    if (connection === null) return Promise.reject(new Error('no direct connection'))
    const opening = connection
      .newStream(LIVENESS_PROTOCOL, { signal: AbortSignal.timeout(HEARTBEAT_DEAD_MS) })
      .then((stream) => {
        stream.addEventListener('message', (event) => {
          this.heard(peerId)
          this.#answered(probe, event.data.subarray())
        })
        stream.addEventListener('close', () => {
          if (probe.stream === opening) probe.stream = null
        })
        return stream
      })
    probe.stream = opening
    return opening
  }

  #dropStream(probe: Probe): void {
    const opening = probe.stream
    probe.stream = null
    probe.pending.clear()
    probe.buffered = []
    opening?.then(
      (stream) => stream.abort(new Error('peer is gone')),
      () => undefined,
    )
  }

  #answered(probe: Probe, bytes: Uint8Array): void {
    probe.buffered.push(...bytes.subarray(0, MAX_PING_CHUNK_BYTES))
    while (probe.buffered.length >= PING_BYTES) {
      const id = decodePing(Uint8Array.from(probe.buffered.splice(0, PING_BYTES)))
      const ping = probe.pending.get(id)
      if (ping === undefined) continue
      for (const older of [...probe.pending.keys()].filter((key) => key <= id)) probe.pending.delete(older)
      const rttMs = probe.lastHeardAt - ping.sentAt
      ping.onAnswer?.(rttMs)
      probe.rttMs = probe.rttMs === null ? rttMs : probe.rttMs * 0.75 + rttMs * 0.25
    }
  }
}

/** The answering side: what comes goes back at once. */
function answerPings(stream: Stream): void {
  stream.addEventListener('message', (event) => {
    if (event.data.byteLength > MAX_PING_CHUNK_BYTES) stream.abort(new Error('not a ping'))
    else if (stream.writeStatus === 'writable') stream.send(event.data)
  })
  stream.addEventListener('remoteCloseWrite', () => stream.abort(new Error('done')))
}

function encodePing(id: number): Uint8Array {
  const bytes = new Uint8Array(PING_BYTES)
  new DataView(bytes.buffer).setFloat64(0, id, true)
  return bytes
}

function decodePing(bytes: Uint8Array): number {
  return new DataView(bytes.buffer).getFloat64(0, true)
}
