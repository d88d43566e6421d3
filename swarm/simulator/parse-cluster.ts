/**
 * A cluster file: `units`, `types` with speeds, `peers`. What a peer does not say its type says, and what its type does not
 * say the file says, and else a default; docs/simulator.md has the table.
 */
import type { PeerSpeed } from '../planner/model.ts'
import {
  DEFAULT_BYTES_PER_UNIT,
  DEFAULT_DOWNLOAD_BYTES_PER_SECOND,
  DEFAULT_LEAVE_CHANCE,
  DEFAULT_RTT_MS,
  type Cluster,
  type ClusterPeer,
} from './cluster.ts'
import { FieldReader, shown, type JsonObject } from './json-fields.ts'

/** More than any model has, and a simulation of so many is still a matter of minutes. */
const MOST_UNITS = 10_000
const MOST_PEERS = 100_000

const PEER_KEYS = ['blockStepsPerSecond', 'tokensPerSecond', 'maxBlocks', 'downloadBytesPerSecond', 'leaveChance']
const FILE_KEYS = ['name', 'units', 'types', 'peers', 'unitWeights', 'rttMs', 'bytesPerUnit']

/**
 * `what` names the file in sentences.
 * @throws SwarmError BAD_OPTION with a sentence for each wrong field
 */
export function parseCluster(json: unknown, what: string): Cluster {
  const reader = new FieldReader()
  const file = reader.object(json, 'the file')
  const cluster = file === null ? null : readCluster(reader, file)
  reader.throwIfWrong(what, 'docs/simulator.md describes the format of a cluster file.')
  return cluster as Cluster
}

function readCluster(reader: FieldReader, file: JsonObject): Cluster | null {
  reader.keys(file, [...FILE_KEYS, ...PEER_KEYS], '')
  const units = reader.integer(file, 'units', '', 1, MOST_UNITS)
  if (file['units'] === undefined)
    reader.problem('units is missing: the number of blocks, with the head where it counts.')
  const types = readTypes(reader, file)
  const peers = readPeers(reader, file, types, units ?? MOST_UNITS)
  const unitWeights = reader.numbers(file, 'unitWeights', '') ?? Array.from({ length: units ?? 0 }, () => 1)
  if (file['unitWeights'] !== undefined && units !== null && unitWeights.length !== units && unitWeights.length > 0) {
    reader.problem(`unitWeights must have ${units} numbers, one a unit, and has ${unitWeights.length}.`)
  }
  return {
    name: reader.text(file, 'name', '') ?? 'unnamed',
    unitWeights,
    peers,
    rttMs: readRtt(reader, file, peers),
    bytesPerUnit: reader.number(file, 'bytesPerUnit', '', { above: 0 }) ?? DEFAULT_BYTES_PER_UNIT,
  }
}

function readTypes(reader: FieldReader, file: JsonObject): Map<string, JsonObject> {
  const types = new Map<string, JsonObject>()
  if (file['types'] === undefined) return types
  for (const [name, value] of Object.entries(reader.object(file['types'], 'types') ?? {})) {
    const type = reader.object(value, `types.${name}`)
    if (type !== null) types.set(name, type)
    if (type !== null) reader.keys(type, PEER_KEYS, `types.${name}.`)
  }
  return types
}

function readPeers(
  reader: FieldReader,
  file: JsonObject,
  types: ReadonlyMap<string, JsonObject>,
  units: number,
): ClusterPeer[] {
  const list = reader.list(file, 'peers', '') ?? []
  if (file['peers'] === undefined) reader.problem('peers is missing: a list of {"id", "type"}.')
  else if (list.length > MOST_PEERS)
    reader.problem(`peers has ${list.length} entries, and at most ${MOST_PEERS} may be.`)
  const peers: ClusterPeer[] = []
  const seen = new Set<string>()
  for (const [index, value] of list.slice(0, MOST_PEERS).entries()) {
    const entry = reader.object(value, `peers[${index}]`)
    if (entry === null) continue
    const peer = readPeer(reader, file, entry, types, `peers[${index}]`, units)
    if (peer === null) continue
    if (seen.has(peer.id)) reader.problem(`peers[${index}].id is "${peer.id}" a second time: ids must differ.`)
    seen.add(peer.id)
    peers.push(peer)
  }
  return peers
}

/** Where a field of a peer comes from: itself, its type, or the file. */
interface Source {
  of: JsonObject
  where: string
}

function readPeer(
  reader: FieldReader,
  file: JsonObject,
  entry: JsonObject,
  types: ReadonlyMap<string, JsonObject>,
  where: string,
  units: number,
): ClusterPeer | null {
  reader.keys(entry, ['id', 'type', ...PEER_KEYS], `${where}.`)
  const id = reader.text(entry, 'id', `${where}.`)
  if (entry['id'] === undefined) reader.problem(`${where}.id is missing.`)
  const typeName = reader.text(entry, 'type', `${where}.`)
  const type = typeName === null ? undefined : types.get(typeName)
  if (typeName !== null && type === undefined) {
    reader.problem(`${where}.type is "${typeName}", which types does not have.`)
    return null
  }
  const sources: Source[] = [
    { of: entry, where: `${where}.` },
    ...(type === undefined ? [] : [{ of: type, where: `types.${typeName}.` }]),
    { of: file, where: '' },
  ]
  const read = (key: string, limits: { least?: number; most?: number; above?: number }): number | null => {
    const source = sources.find(({ of }) => of[key] !== undefined)
    return source === undefined ? null : reader.number(source.of, key, source.where, limits)
  }
  const speed = readSpeed(reader, sources, where)
  const most = sources.find(({ of }) => of['maxBlocks'] !== undefined)
  const maxBlocks = most === undefined ? null : reader.integer(most.of, 'maxBlocks', most.where, 1, MOST_UNITS)
  if (id === null || speed === null) return null
  const known = speed.kind === 'table' ? speed.tokensPerSecond.length : units
  return {
    id,
    speed,
    maxBlocks: Math.min(maxBlocks ?? known, known, units),
    leaveChance: read('leaveChance', { least: 0, most: 1 }) ?? DEFAULT_LEAVE_CHANCE,
    downloadBytesPerSecond: read('downloadBytesPerSecond', { above: 0 }) ?? DEFAULT_DOWNLOAD_BYTES_PER_SECOND,
  }
}

function readSpeed(reader: FieldReader, sources: readonly Source[], where: string): PeerSpeed | null {
  const source = sources.find(
    ({ of }) => of['tokensPerSecond'] !== undefined || of['blockStepsPerSecond'] !== undefined,
  )
  if (source === undefined) {
    reader.problem(`${where} has no speed: neither it nor its type has tokensPerSecond or blockStepsPerSecond.`)
    return null
  }
  if (source.of['tokensPerSecond'] === undefined) {
    const blockStepsPerSecond = reader.number(source.of, 'blockStepsPerSecond', source.where, { above: 0 })
    return blockStepsPerSecond === null ? null : { kind: 'steps', blockStepsPerSecond }
  }
  if (source.of['blockStepsPerSecond'] !== undefined) {
    reader.problem(`${source.where}tokensPerSecond and ${source.where}blockStepsPerSecond exclude each other.`)
    return null
  }
  const tokensPerSecond = reader.numbers(source.of, 'tokensPerSecond', source.where)
  if (tokensPerSecond === null) return null
  if (tokensPerSecond.length > 0) return { kind: 'table', tokensPerSecond }
  reader.problem(`${source.where}tokensPerSecond is empty: it has one number for each length of span, from 1 on.`)
  return null
}

function readRtt(reader: FieldReader, file: JsonObject, peers: readonly ClusterPeer[]): Cluster['rttMs'] {
  const value = file['rttMs']
  if (!Array.isArray(value)) {
    const same = reader.number(file, 'rttMs', '', { least: 0 }) ?? DEFAULT_RTT_MS
    return () => same
  }
  const rows = value as unknown[]
  const isRow = (row: unknown): row is number[] =>
    Array.isArray(row) &&
    row.length === peers.length &&
    row.every((entry) => typeof entry === 'number' && Number.isFinite(entry) && entry >= 0)
  if (rows.length !== peers.length) {
    reader.problem(`rttMs must have a row for each of the ${peers.length} peers, and has ${rows.length}.`)
  }
  for (const [index, row] of rows.entries()) {
    if (isRow(row)) continue
    reader.problem(`rttMs[${index}] must be ${peers.length} numbers of 0 or more, and is ${shown(row)}.`)
    break
  }
  return matrixRtt(rows.filter(isRow), peers)
}

/** The matrix does not say where requesting peers are: as far from a peer as the others are in the mean. */
function matrixRtt(rows: readonly (readonly number[])[], peers: readonly ClusterPeer[]): Cluster['rttMs'] {
  const indexOf = new Map(peers.map(({ id }, index) => [id, index]))
  const means = rows.map((row, index) => {
    const others = row.filter((_, other) => other !== index)
    return others.length === 0 ? (row[index] ?? 0) : others.reduce((sum, ms) => sum + ms, 0) / others.length
  })
  return (from, to) => {
    const column = indexOf.get(to)
    if (column === undefined) return DEFAULT_RTT_MS
    const row = from === null ? undefined : indexOf.get(from)
    return (row === undefined ? means[column] : rows[row]?.[column]) ?? DEFAULT_RTT_MS
  }
}
