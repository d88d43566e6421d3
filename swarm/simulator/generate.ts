/**
 * Random swarms and random churn with the traits of real ones: speeds are log-normal (most peers are ordinary, a few very
 * fast), lifetimes heavy-tailed (many leave soon, some stay for days), arrivals come in daily waves. Everything is drawn
 * from the seed.
 */
import {
  DEFAULT_BYTES_PER_UNIT,
  DEFAULT_DOWNLOAD_BYTES_PER_SECOND,
  DEFAULT_LEAVE_CHANCE,
  DEFAULT_RTT_MS,
  type Cluster,
  type ClusterPeer,
} from './cluster.ts'
import { Random } from './random.ts'
import type { TraceEvent } from './trace.ts'
import { rounded } from './timeline.ts'

export interface RandomSwarm {
  seed: number
  peers: number
  units: number
  /** Weight of a last unit that is the head; 0: none. */
  headWeight?: number
  /** Median of the block-steps a second, and the standard deviation of their logarithm. */
  medianSpeed?: number
  sigma?: number
  /** Span lengths are drawn evenly from these, both included. */
  maxBlocks?: readonly [number, number]
  leaveChance?: number
  bytesPerUnit?: number
  downloadBytesPerSecond?: number
  /** The same between all; or places on a square of this width, ms, and `nearMs` on top: what a peer has to its own router. */
  rttMs?: number | { widthMs: number; nearMs: number }
}

export const DEFAULT_MEDIAN_SPEED = 100
export const DEFAULT_SIGMA = 0.8
export const DEFAULT_MAX_BLOCKS = [4, 8] as const

export function randomCluster(options: RandomSwarm): Cluster {
  const { seed, units, headWeight = 0 } = options
  const random = new Random(seed, 'swarm')
  const peers = Array.from({ length: options.peers }, (_, index) => randomPeer(options, random, index))
  return {
    name: `random-${options.peers}x${units}-${seed}`,
    unitWeights: Array.from({ length: units }, (_, unit) => (headWeight > 0 && unit === units - 1 ? headWeight : 1)),
    peers,
    rttMs: randomRtt(options.rttMs ?? DEFAULT_RTT_MS, peers, seed),
    bytesPerUnit: options.bytesPerUnit ?? DEFAULT_BYTES_PER_UNIT,
  }
}

function randomPeer(options: RandomSwarm, random: Random, index: number): ClusterPeer {
  const [least, most] = options.maxBlocks ?? DEFAULT_MAX_BLOCKS
  const speed = random.logNormal(options.medianSpeed ?? DEFAULT_MEDIAN_SPEED, options.sigma ?? DEFAULT_SIGMA)
  return {
    id: `p${String(index).padStart(4, '0')}`,
    speed: { kind: 'steps', blockStepsPerSecond: rounded(speed) },
    maxBlocks: Math.min(random.integer(least, most), options.units),
    leaveChance: options.leaveChance ?? DEFAULT_LEAVE_CHANCE,
    downloadBytesPerSecond: options.downloadBytesPerSecond ?? DEFAULT_DOWNLOAD_BYTES_PER_SECOND,
  }
}

function randomRtt(
  rtt: NonNullable<RandomSwarm['rttMs']>,
  peers: readonly ClusterPeer[],
  seed: number,
): Cluster['rttMs'] {
  if (typeof rtt === 'number') return () => rtt
  const random = new Random(seed, 'places')
  const places = new Map(peers.map(({ id }) => [id, [random.next(), random.next()] as const]))
  // Whoever asks sits in the middle.
  const placeOf = (id: string | null): readonly [number, number] =>
    (id === null ? undefined : places.get(id)) ?? [0.5, 0.5]
  return (from, to) => {
    const [x, y] = placeOf(from)
    const [otherX, otherY] = placeOf(to)
    return rounded(rtt.nearMs + rtt.widthMs * Math.hypot(x - otherX, y - otherY))
  }
}

export interface RandomChurn {
  seed: number
  /** Peers that are there at a time, in the mean. */
  peersAtATime: number
  seconds: number
  meanLifeSeconds: number
  /** Of the lifetimes (Lomax); the lower, the heavier the tail; null: exponential. Default 2.5. */
  lifeShape?: number | null
  /** Share of the losses that are crashes; default half. */
  crashShare?: number
  /** Arrivals swing by this share over a day, 0 to 1; default 0. */
  dailySwing?: number
  /** Sessions that begin in an hour; default none. */
  sessionsPerHour?: number
  /** Means; drawn exponentially. */
  promptTokens?: number
  newTokens?: number
  /** How often an hour a peer's speed changes, to between half and all of it. Default 0. */
  slowDownsPerPeerHour?: number
}

const DAY_SECONDS = 86_400
export const DEFAULT_LIFE_SHAPE = 2.5

/**
 * A trace and the cluster of everybody in it: each arrival is a new peer, except that `swarm.peers` is how many are there
 * from the start. `swarm` describes what a peer is like.
 */
export function randomChurn(swarm: Omit<RandomSwarm, 'peers' | 'seed'>, churn: RandomChurn): ChurnScenario {
  const random = new Random(churn.seed, 'churn')
  const lives = [...firstLives(churn, random), ...arrivals(churn, random)]
  const cluster = randomCluster({ ...swarm, seed: churn.seed, peers: lives.length })
  const trace: TraceEvent[] = []
  for (const [index, life] of lives.entries()) {
    const peer = (cluster.peers[index] as ClusterPeer).id
    if (life.from > 0) trace.push({ t: rounded(life.from), kind: 'join', peer })
    if (life.until < churn.seconds) trace.push({ t: rounded(life.until), kind: life.end, peer })
    trace.push(...slowDowns(churn, life, peer, random))
  }
  trace.push(...randomSessions(churn))
  return { cluster, trace: trace.toSorted((a, b) => a.t - b.t), seconds: churn.seconds }
}

export interface ChurnScenario {
  cluster: Cluster
  trace: TraceEvent[]
  seconds: number
}

interface Life {
  from: number
  until: number
  end: 'leave' | 'crash'
}

function drawLife(churn: RandomChurn, random: Random, from: number): Life {
  const shape = churn.lifeShape === undefined ? DEFAULT_LIFE_SHAPE : churn.lifeShape
  const seconds =
    shape === null ? random.exponential(churn.meanLifeSeconds) : random.lomax(churn.meanLifeSeconds, shape)
  const end = random.next() < (churn.crashShare ?? 0.5) ? 'crash' : 'leave'
  // A peer that goes in the very second in which it came would only be noise.
  return { from, until: from + Math.max(1, seconds), end }
}

/** Who is met at a random moment has lived for a while already, and long lives are met more often. */
function firstLives(churn: RandomChurn, random: Random): Life[] {
  const shape = churn.lifeShape === undefined ? DEFAULT_LIFE_SHAPE : churn.lifeShape
  return Array.from({ length: churn.peersAtATime }, () => {
    const life = drawLife(churn, random, 0)
    // What is left of a Lomax life that is met at a random moment is a Lomax with a shape lower by one: a heavier tail.
    const left =
      shape === null
        ? random.exponential(churn.meanLifeSeconds)
        : churn.meanLifeSeconds * (shape - 1) * ((1 - random.next()) ** (-1 / (shape - 1)) - 1)
    return { ...life, until: Math.max(1, left) }
  })
}

/** As many as leave, in the mean; more by day than by night. */
function arrivals(churn: RandomChurn, random: Random): Life[] {
  const swing = churn.dailySwing ?? 0
  const most = (churn.peersAtATime / churn.meanLifeSeconds) * (1 + swing)
  const lives: Life[] = []
  for (let t = random.exponential(1 / most); t < churn.seconds; t += random.exponential(1 / most)) {
    const now = (1 + swing * Math.sin((2 * Math.PI * t) / DAY_SECONDS)) / (1 + swing)
    if (random.next() < now) lives.push(drawLife(churn, random, t))
  }
  return lives
}

function slowDowns(churn: RandomChurn, life: Life, peer: string, random: Random): TraceEvent[] {
  const perHour = churn.slowDownsPerPeerHour ?? 0
  if (perHour === 0) return []
  const events: TraceEvent[] = []
  const end = Math.min(life.until, churn.seconds)
  for (let t = life.from + random.exponential(3600 / perHour); t < end; t += random.exponential(3600 / perHour)) {
    events.push({ t: rounded(t), kind: 'speed', peer, factor: rounded(random.uniform(0.5, 1)) })
  }
  return events
}

function randomSessions(churn: RandomChurn): TraceEvent[] {
  const { sessionsPerHour = 0, promptTokens = 100, newTokens = 200 } = churn
  if (sessionsPerHour === 0) return []
  const random = new Random(churn.seed, 'sessions')
  const events: TraceEvent[] = []
  const mean = 3600 / sessionsPerHour
  for (let t = random.exponential(mean); t < churn.seconds; t += random.exponential(mean)) {
    events.push({
      t: rounded(t),
      kind: 'session',
      session: `s${events.length}`,
      promptTokens: Math.ceil(random.exponential(promptTokens)),
      newTokens: Math.max(1, Math.ceil(random.exponential(newTokens))),
    })
  }
  return events
}
