/** Files of the simulator: read with a sentence for what is wrong, written whole. */
import { readFileSync, writeFileSync } from 'node:fs'
import { formatEvent, parseTrace, type TraceEvent } from '../../swarm/simulator/trace.ts'
import { parseCluster } from '../../swarm/simulator/parse-cluster.ts'
import type { Cluster } from '../../swarm/simulator/cluster.ts'
import { describeError, SwarmError } from '../../swarm/errors.ts'

/** @throws SwarmError BAD_OPTION */
export function readCluster(path: string): Cluster {
  const words = readText('--cluster', path)
  let json: unknown
  try {
    json = JSON.parse(words) as unknown
  } catch (error) {
    throw new SwarmError('BAD_OPTION', `--cluster ${path} is not JSON: ${describeError(error)}`, {
      action: 'docs/simulator.md shows a cluster file.',
      cause: error,
    })
  }
  return parseCluster(json, `--cluster ${path}`)
}

/** @throws SwarmError BAD_OPTION */
export function readTrace(path: string, cluster: Cluster): TraceEvent[] {
  return parseTrace(readText('--trace', path), cluster, `--trace ${path}`)
}

/** @throws SwarmError BAD_OPTION */
export function writeText(option: string, path: string, content: string): void {
  try {
    writeFileSync(path, content)
  } catch (error) {
    throw new SwarmError('BAD_OPTION', `${option} ${path} cannot be written: ${describeError(error)}`, {
      action: 'Name a file in a folder that exists and may be written to.',
      cause: error,
    })
  }
}

/** A cluster in the form that `--cluster` reads; distances become a matrix where they differ. */
export function formatCluster(cluster: Cluster): string {
  const ids = cluster.peers.map(({ id }) => id)
  const matrix = ids.map((from) => ids.map((to) => (from === to ? 0 : cluster.rttMs(from, to))))
  const [first] = ids
  const second = ids[1]
  const same = first === undefined || second === undefined ? cluster.rttMs(null, '') : cluster.rttMs(first, second)
  const isSame = matrix.every((row, i) => row.every((ms, j) => i === j || ms === same))
  const file = {
    name: cluster.name,
    units: cluster.unitWeights.length,
    unitWeights: cluster.unitWeights,
    bytesPerUnit: cluster.bytesPerUnit,
    rttMs: isSame ? same : matrix,
    peers: cluster.peers.map(({ speed, ...peer }) => ({
      ...peer,
      ...(speed.kind === 'steps'
        ? { blockStepsPerSecond: speed.blockStepsPerSecond }
        : { tokensPerSecond: speed.tokensPerSecond }),
    })),
  }
  return `${JSON.stringify(file, null, 1)}\n`
}

export function formatTrace(trace: readonly TraceEvent[]): string {
  return trace.map((event) => `${formatEvent(event)}\n`).join('')
}

function readText(option: string, path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    throw new SwarmError('BAD_OPTION', `${option} ${path} cannot be read: ${describeError(error)}`, {
      action: 'Name a file that exists; docs/simulator.md shows what it holds.',
      cause: error,
    })
  }
}
