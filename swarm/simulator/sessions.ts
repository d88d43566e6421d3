/**
 * Sessions over a simulated swarm. Their routes are the real router's. A token takes half a round trip to each hop and
 * back, and at each hop its units over the peer's speed, times one more than the mean number of others there (a closed
 * queueing network in Schweitzer's approximation): a peer is shared by the sessions whose tokens are at it. A lost hop
 * stalls its sessions until that is noticed; then the broken range gets another route and the text so far is run again
 * there. A planned move costs its sessions that second part alone.
 */
import { routeLine } from '../planner/route-line.ts'
import { planRoute } from '../planner/route.ts'
import type { RouteHop, SwarmView } from '../planner/types.ts'
import { containsSpan } from '../span.ts'
import type { Cluster } from './cluster.ts'
import { longestSpan } from '../planner/model.ts'
import { Random } from './random.ts'
import type { SimulatedPeer } from './simulated-peer.ts'
import type { RouteEntry } from './timeline.ts'
import type { VirtualClock } from './virtual-clock.ts'

export interface SessionCounts {
  started: number
  finished: number
  /** Sessions that went on over another route at least once, and how often for which reason. */
  rerouted: number
  reroutesByLoss: number
  reroutesByMove: number
  /** Nobody served a unit for longer than a person waits. */
  failed: number
}

export interface TokenLatencies {
  /** Of the tokens after the first, stalls included, ms. */
  p50: number | null
  p95: number | null
  longest: number | null
  tokens: number
}

interface Session {
  id: string
  promptTokens: number
  newTokens: number
  done: number
  hops: RouteHop[] | null
  /** Share of its time that its token spends at each hop. */
  shares: Map<string, number>
  /** Grows with every change of plan: what was scheduled before counts for nothing. */
  plans: number
  /** When the tokens that are under way began, and how long each takes. */
  chunkStart: number
  tokenSeconds: number
  chunkTokens: number
  /** Since when it waits for a hop, seconds. */
  stalledSince: number | null
  stallSeconds: number
  hasRerouted: boolean
}

/** Tokens between two looks at how busy the peers are. */
const CHUNK_TOKENS = 8
/**
 * What a row of a prompt, or of a text that is run again, costs of a token: weights are read once for many rows. An
 * assumption, on the careful side of what GPUs do.
 */
const PROMPT_ROW_COST = 1 / 8
/** A person closes a chat that stands still for longer. */
const PATIENCE_SECONDS = 60

export interface SessionsOptions {
  cluster: Cluster
  clock: VirtualClock
  seed: number
  peers: ReadonlyMap<string, SimulatedPeer>
  view: () => SwarmView
  noticeSeconds: number
  onRoute: (entry: RouteEntry) => void
}

export class Sessions {
  readonly counts: SessionCounts = {
    started: 0,
    finished: 0,
    rerouted: 0,
    reroutesByLoss: 0,
    reroutesByMove: 0,
    failed: 0,
  }
  readonly #options: SessionsOptions
  readonly #random: Random
  readonly #running = new Set<Session>()
  readonly #waiting = new Set<Session>()
  readonly #busy = new Map<string, number>()
  readonly #sessionsAt = new Map<string, number>()
  readonly #blocksAt = new Map<string, number>()
  /** Token latencies in ms and how many tokens had each. */
  readonly #latencies: { ms: number; tokens: number }[] = []

  constructor(options: SessionsOptions) {
    this.#options = options
    this.#random = new Random(options.seed, 'routes')
  }

  start(id: string, promptTokens: number, newTokens: number): void {
    this.counts.started += 1
    const { now } = this.#options.clock
    const session: Session = {
      id,
      promptTokens,
      newTokens,
      done: 0,
      hops: null,
      shares: new Map(),
      plans: 0,
      chunkStart: now,
      tokenSeconds: 0,
      chunkTokens: 0,
      stalledSince: now,
      stallSeconds: 0,
      hasRerouted: false,
    }
    this.#running.add(session)
    this.#route(session)
  }

  /** What peers really serve has changed: sessions whose hop is gone stall; those whose hop has moved are handed over. */
  servedChanged(): void {
    for (const session of this.#running) {
      if (session.hops === null || session.stalledSince !== null) continue
      const broken = session.hops.filter((hop) => !this.#serves(hop))
      if (broken.length === 0) continue
      this.#stopChunk(session)
      session.stalledSince = this.#options.clock.now
      const isLoss = broken.some(({ peerId }) => this.#options.peers.get(peerId)?.isPresent !== true)
      if (isLoss) this.counts.reroutesByLoss += 1
      else this.counts.reroutesByMove += 1
      if (!session.hasRerouted) this.counts.rerouted += 1
      session.hasRerouted = true
      const crashed = broken.some(({ peerId }) => {
        const peer = this.#options.peers.get(peerId)
        return peer !== undefined && !peer.isPresent && peer.isSeen
      })
      const { plans } = session
      this.#options.clock.after(crashed ? this.#options.noticeSeconds : 0, () => {
        if (session.plans === plans) this.#route(session)
      })
    }
  }

  /** Records have changed: who waits for a holder looks again. */
  seenChanged(): void {
    // Who still finds nothing waits again at once: only those of this moment are asked.
    const waiting = Array.from(this.#waiting)
    for (const session of waiting) this.#route(session)
  }

  latencies(): TokenLatencies {
    const sorted = this.#latencies.toSorted((a, b) => a.ms - b.ms)
    const tokens = sorted.reduce((sum, entry) => sum + entry.tokens, 0)
    const percentile = (share: number): number | null => {
      let seen = 0
      for (const entry of sorted) {
        seen += entry.tokens
        if (seen >= share * tokens) return entry.ms
      }
      return null
    }
    return { p50: percentile(0.5), p95: percentile(0.95), longest: sorted.at(-1)?.ms ?? null, tokens }
  }

  get running(): number {
    return this.#running.size
  }

  #serves({ peerId, span }: RouteHop): boolean {
    const peer = this.#options.peers.get(peerId)
    return peer !== undefined && peer.isPresent && peer.served !== null && containsSpan(peer.served, span)
  }

  /** A route for what has none: the whole model, or the range of the lost hops. */
  #route(session: Session): void {
    session.plans += 1
    this.#waiting.delete(session)
    const hops = this.#plan(session)
    if (hops === null) {
      this.#wait(session)
      return
    }
    this.#release(session)
    const isFirst = session.hops === null
    const kept = new Set((session.hops ?? []).map(hopKey))
    session.hops = hops
    this.#countHops(hops, 1)
    const { clock, cluster, onRoute } = this.#options
    onRoute({ t: clock.now, session: session.id, event: 'route', route: routeLine(hops, cluster.rttMs) })
    this.#share(session)
    const rows = session.promptTokens + session.done
    const fresh = isFirst ? hops : hops.filter((hop) => !kept.has(hopKey(hop)))
    const replaySeconds = fresh.reduce(
      (sum, hop) => sum + rows * PROMPT_ROW_COST * this.#computeSeconds(session, hop),
      0,
    )
    const since = session.stalledSince ?? this.#options.clock.now
    session.stalledSince = null
    // The time to the first token is the prompt's; a later wait is a slow token.
    session.stallSeconds = isFirst ? 0 : this.#options.clock.now - since + replaySeconds
    this.#startChunk(session, replaySeconds)
  }

  #plan(session: Session): RouteHop[] | null {
    const { cluster, view } = this.#options
    const kept = (session.hops ?? []).filter((hop) => this.#serves(hop))
    const isLost = (hop: RouteHop): boolean => !this.#serves(hop)
    const current = view()
    const live = {
      ...current,
      peers: current.peers.map((peer) => ({
        ...peer,
        sessions: this.#sessionsAt.get(peer.peerId) ?? 0,
        sessionBlocks: this.#blocksAt.get(peer.peerId) ?? 0,
      })),
    }
    const gone = [...this.#options.peers.values()].filter((peer) => peer.isSeen && !peer.isPresent)
    // Whoever asks such a peer gets no answer, and takes the next: the router is told what the dial would say.
    const exclude = new Set(gone.map(({ id }) => id))
    const request = {
      view: live,
      rttMs: cluster.rttMs,
      maxTokens: session.promptTokens + session.newTokens,
      exclude,
      random: () => this.#random.next(),
    }
    if (session.hops === null) {
      const whole = planRoute(request)
      return whole.ok ? whole.hops : null
    }
    const hops: RouteHop[] = [...kept]
    for (const range of rangesOf(session.hops.filter(isLost))) {
      const part = planRoute({ ...request, range })
      if (!part.ok) return null
      hops.push(...part.hops)
    }
    return hops.toSorted((a, b) => a.span.start - b.span.start)
  }

  #wait(session: Session): void {
    this.#waiting.add(session)
    const since = session.stalledSince ?? this.#options.clock.now
    session.stalledSince = since
    this.#options.clock.at(since + PATIENCE_SECONDS, () => {
      if (!this.#waiting.has(session) || session.stalledSince !== since) return
      this.counts.failed += 1
      this.#end(session)
    })
  }

  #end(session: Session): void {
    session.plans += 1
    this.#release(session)
    this.#running.delete(session)
    this.#waiting.delete(session)
  }

  /** Takes the session's load off its peers. */
  #release(session: Session): void {
    for (const [peerId, share] of session.shares) this.#busy.set(peerId, (this.#busy.get(peerId) ?? 0) - share)
    session.shares.clear()
    this.#countHops(session.hops ?? [], -1)
  }

  #countHops(hops: readonly RouteHop[], by: 1 | -1): void {
    for (const { peerId, span } of hops) {
      this.#sessionsAt.set(peerId, (this.#sessionsAt.get(peerId) ?? 0) + by)
      this.#blocksAt.set(peerId, (this.#blocksAt.get(peerId) ?? 0) + by * (span.end - span.start))
    }
  }

  #computeSeconds(session: Session, { peerId, span }: RouteHop): number {
    const { cluster, peers } = this.#options
    const peer = peers.get(peerId) as SimulatedPeer
    const others = Math.max(0, (this.#busy.get(peerId) ?? 0) - (session.shares.get(peerId) ?? 0))
    return tokenSeconds(peer, span, cluster) * (1 + others)
  }

  /** Brings the session's share of its peers' time up to date; returns seconds a token. */
  #share(session: Session): number {
    const hops = session.hops ?? []
    const { rttMs } = this.#options.cluster
    const compute = hops.map((hop) => this.#computeSeconds(session, hop))
    const travelMs = hops.reduce(
      (sum, { peerId }, index) => sum + rttMs(hops[index - 1]?.peerId ?? null, peerId) / 2,
      hops.length === 0 ? 0 : rttMs(null, (hops.at(-1) as RouteHop).peerId) / 2,
    )
    const total = compute.reduce((sum, seconds) => sum + seconds, travelMs / 1000)
    const shares = new Map<string, number>()
    for (const [index, { peerId }] of hops.entries()) {
      shares.set(peerId, (shares.get(peerId) ?? 0) + (compute[index] as number) / total)
    }
    for (const [peerId, share] of session.shares) this.#busy.set(peerId, (this.#busy.get(peerId) ?? 0) - share)
    for (const [peerId, share] of shares) this.#busy.set(peerId, (this.#busy.get(peerId) ?? 0) + share)
    session.shares = shares
    return total
  }

  #startChunk(session: Session, waitSeconds: number): void {
    const { clock } = this.#options
    session.plans += 1
    const { plans } = session
    session.tokenSeconds = this.#share(session)
    session.chunkTokens = Math.min(CHUNK_TOKENS, session.newTokens - session.done)
    session.chunkStart = clock.now + waitSeconds
    clock.after(waitSeconds + session.chunkTokens * session.tokenSeconds, () => {
      if (session.plans !== plans) return
      this.#countTokens(session, session.chunkTokens)
      if (session.done >= session.newTokens) {
        this.counts.finished += 1
        this.#end(session)
      } else this.#startChunk(session, 0)
    })
  }

  /** Tokens that are there already count; the one under way is lost, and its time is part of the wait. */
  #stopChunk(session: Session): void {
    const since = this.#options.clock.now - session.chunkStart
    session.plans += 1
    const whole = Math.floor(since / session.tokenSeconds)
    this.#countTokens(session, Math.max(0, Math.min(session.chunkTokens - 1, whole)))
  }

  #countTokens(session: Session, tokens: number): void {
    if (tokens === 0) return
    const ms = session.tokenSeconds * 1000
    if (session.stallSeconds > 0) this.#latencies.push({ ms: ms + session.stallSeconds * 1000, tokens: 1 })
    const others = session.stallSeconds > 0 ? tokens - 1 : tokens
    if (others > 0) this.#latencies.push({ ms, tokens: others })
    session.stallSeconds = 0
    session.done += tokens
  }
}

function hopKey({ peerId, span }: RouteHop): string {
  return `${peerId} ${span.start}:${span.end}`
}

/** One token through part of a peer's span, alone, seconds. */
function tokenSeconds(peer: SimulatedPeer, span: { start: number; end: number }, cluster: Cluster): number {
  const units = cluster.unitWeights.length
  if (peer.spec.speed.kind === 'steps') {
    let weight = 0
    for (let unit = span.start; unit < span.end; unit += 1) weight += cluster.unitWeights[unit] as number
    return weight / peer.blockStepsPerSecond
  }
  // A table says what the whole span carries; a part of it takes its part of that time.
  const held = peer.served === null ? longestSpan(peer.spec, units) : peer.served.end - peer.served.start
  const tokensPerSecond = (peer.spec.speed.tokensPerSecond[held - 1] as number) * peer.speedFactor
  return (span.end - span.start) / held / tokensPerSecond
}

/** Hops in order, joined where they touch. */
function rangesOf(hops: readonly RouteHop[]): { start: number; end: number }[] {
  const ranges: { start: number; end: number }[] = []
  for (const { span } of hops.toSorted((a, b) => a.span.start - b.span.start)) {
    const last = ranges.at(-1)
    if (last !== undefined && last.end === span.start) last.end = span.end
    else ranges.push({ ...span })
  }
  return ranges
}
