/** What happens to a swarm over time: JSON lines, one event a line, in any order of time. */
import type { Cluster } from './cluster.ts'
import { FieldReader, shown, type JsonObject } from './json-fields.ts'

/** `t` in seconds from the start. */
export type TraceEvent =
  | { t: number; kind: 'join' | 'leave' | 'crash'; peer: string }
  /** From here on the peer runs at `factor` times its speed in the cluster file. */
  | { t: number; kind: 'speed'; peer: string; factor: number }
  | { t: number; kind: 'session'; session: string; promptTokens: number; newTokens: number }

const KINDS = ['join', 'leave', 'crash', 'speed', 'session'] as const
/** Longer than any context of a model that is served. */
const MOST_TOKENS = 10_000_000

/**
 * Sorted by time; events of one instant stay in the file's order. Empty lines count as nothing.
 * @throws SwarmError BAD_OPTION with a sentence for each wrong line
 */
export function parseTrace(lines: string, cluster: Cluster, what: string): TraceEvent[] {
  const reader = new FieldReader()
  const peers = new Set(cluster.peers.map(({ id }) => id))
  const events: TraceEvent[] = []
  for (const [index, line] of lines.split('\n').entries()) {
    if (line.trim() === '') continue
    const event = readEvent(reader, line, `line ${index + 1}`)
    if (event === null) continue
    if ('peer' in event && !peers.has(event.peer)) {
      reader.problem(`line ${index + 1}: "${event.peer}" is not a peer of the cluster file.`)
    }
    events.push(event)
  }
  const sorted = events.toSorted((a, b) => a.t - b.t)
  checkOrder(reader, sorted)
  reader.throwIfWrong(what, 'docs/simulator.md describes the events of a trace.')
  return sorted
}

/** One line in the form that `parseTrace` reads. */
export function formatEvent(event: TraceEvent): string {
  if (event.kind === 'session') {
    const { t, session, promptTokens, newTokens } = event
    return JSON.stringify({ t, session, promptTokens, newTokens })
  }
  const { t, kind, peer } = event
  return JSON.stringify(kind === 'speed' ? { t, speed: peer, factor: event.factor } : { t, [kind]: peer })
}

/** Peers that are away until the trace lets them join; all others are there, and loaded, from the start. */
export function joinLater(events: readonly TraceEvent[]): Set<string> {
  const first = new Map<string, string>()
  for (const event of events) {
    if (event.kind === 'session' || event.kind === 'speed') continue
    if (!first.has(event.peer)) first.set(event.peer, event.kind)
  }
  return new Set([...first].filter(([, kind]) => kind === 'join').map(([peer]) => peer))
}

function readEvent(reader: FieldReader, line: string, where: string): TraceEvent | null {
  const json = parseLine(line)
  if (json === undefined) {
    reader.problem(`${where} is not JSON: ${shown(line)}.`)
    return null
  }
  const object = reader.object(json, where)
  if (object === null) return null
  const kinds = KINDS.filter((kind) => object[kind] !== undefined)
  const [kind] = kinds
  if (kind === undefined || kinds.length > 1) {
    reader.problem(`${where} must have one of ${KINDS.join(', ')}, and has ${kinds.join(' and ') || 'none'}.`)
    return null
  }
  reader.keys(object, ['t', kind, ...EXTRA_KEYS[kind]], `${where}: `)
  if (object['t'] === undefined) reader.problem(`${where}: t is missing: the time in seconds.`)
  const t = reader.number(object, 't', `${where}: `, { least: 0 })
  const name = reader.text(object, kind, `${where}: `)
  if (kind === 'session') return readSession(reader, object, where, t, name)
  if (kind === 'speed') return readSpeed(reader, object, where, t, name)
  return t === null || name === null ? null : { t, kind, peer: name }
}

const EXTRA_KEYS: Record<(typeof KINDS)[number], readonly string[]> = {
  join: [],
  leave: [],
  crash: [],
  speed: ['factor'],
  session: ['promptTokens', 'newTokens'],
}

function readSession(
  reader: FieldReader,
  object: JsonObject,
  where: string,
  t: number | null,
  session: string | null,
): TraceEvent | null {
  for (const key of EXTRA_KEYS.session) if (object[key] === undefined) reader.problem(`${where}: ${key} is missing.`)
  const promptTokens = reader.integer(object, 'promptTokens', `${where}: `, 0, MOST_TOKENS)
  const newTokens = reader.integer(object, 'newTokens', `${where}: `, 1, MOST_TOKENS)
  if (t === null || session === null || promptTokens === null || newTokens === null) return null
  return { t, kind: 'session', session, promptTokens, newTokens }
}

function readSpeed(
  reader: FieldReader,
  object: JsonObject,
  where: string,
  t: number | null,
  peer: string | null,
): TraceEvent | null {
  if (object['factor'] === undefined) reader.problem(`${where}: factor is missing.`)
  const factor = reader.number(object, 'factor', `${where}: `, { above: 0 })
  return t === null || peer === null || factor === null ? null : { t, kind: 'speed', peer, factor }
}

function parseLine(line: string): unknown {
  try {
    return JSON.parse(line) as unknown
  } catch {
    return undefined
  }
}

/** A peer that joins twice, or leaves while it is away, is a slip that would make every figure wrong. */
function checkOrder(reader: FieldReader, events: readonly TraceEvent[]): void {
  const away = joinLater(events)
  const sessions = new Set<string>()
  for (const event of events) {
    if (event.kind === 'session') {
      if (sessions.has(event.session))
        reader.problem(`session "${event.session}" starts a second time at ${event.t} s.`)
      sessions.add(event.session)
    } else if (event.kind === 'join') {
      if (!away.delete(event.peer)) reader.problem(`"${event.peer}" joins at ${event.t} s, and is there already.`)
    } else if (event.kind !== 'speed') {
      if (away.has(event.peer)) reader.problem(`"${event.peer}" cannot ${event.kind} at ${event.t} s: it is away.`)
      away.add(event.peer)
    }
  }
}
