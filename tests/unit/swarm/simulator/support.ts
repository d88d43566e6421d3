/** Small clusters and runs for tests of the simulator. */
import { simulateChurn, type ChurnOptions, type ChurnResult } from '../../../../swarm/simulator/churn.ts'
import type { Cluster } from '../../../../swarm/simulator/cluster.ts'
import { parseCluster } from '../../../../swarm/simulator/parse-cluster.ts'
import { simulatedPetals } from '../../../../swarm/simulator/rules.ts'
import type { TimelineEntry } from '../../../../swarm/simulator/timeline.ts'
import { parseTrace } from '../../../../swarm/simulator/trace.ts'

/** Equal peers `a`, `b`, …: 100 block-steps a second, one unit takes one second to download. */
export function equalPeers(ids: string, units: number, fields: Record<string, unknown> = {}): Cluster {
  return parseCluster(
    {
      units,
      bytesPerUnit: 1000,
      rttMs: 0,
      downloadBytesPerSecond: 1000,
      blockStepsPerSecond: 100,
      peers: ids.split('').map((id) => ({ id })),
      ...fields,
    },
    'test',
  )
}

export interface Run {
  result: ChurnResult
  timeline: TimelineEntry[]
}

/** Events as objects of the trace format. */
export function run(cluster: Cluster, events: readonly object[], options: Partial<ChurnOptions> = {}): Run {
  const timeline: TimelineEntry[] = []
  const lines = events.map((event) => JSON.stringify(event)).join('\n')
  const result = simulateChurn({
    cluster,
    trace: parseTrace(lines, cluster, 'test'),
    rule: simulatedPetals(),
    seed: 1,
    onEntry: (entry) => timeline.push(entry),
    ...options,
  })
  return { result, timeline }
}

export function refusal(act: () => unknown): string {
  try {
    act()
  } catch (error) {
    return (error as Error).message
  }
  throw new Error('was not refused')
}
