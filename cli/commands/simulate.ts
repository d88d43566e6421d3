/** `tabswarm simulate`: the planner and the router under a virtual clock, once over a cluster or over a trace of churn. */
import { randomCluster } from '../../swarm/simulator/generate.ts'
import { makeScenario, isScenarioName } from '../../swarm/simulator/scenarios.ts'
import type { ChurnScenario } from '../../swarm/simulator/generate.ts'
import { command } from './command.ts'
import { refuseSwallowedByNpm, refuseWords } from './words.ts'
import { formatCluster, formatTrace, readCluster, readTrace, writeText } from '../simulate/files.ts'
import { checkTogether, readSize, simulateOptions, type SimulateValues } from '../simulate/options.ts'
import { runChurn } from '../simulate/run-churn.ts'
import { runStatic } from '../simulate/run-static.ts'

export const simulateCommand = command<typeof simulateOptions>({
  text: {
    name: 'simulate',
    summary: 'runs the planner over a swarm that is described in a file, without any tab; see docs/simulator.md.',
    examples: [
      'tabswarm simulate --cluster swarm.json --mode global',
      'tabswarm simulate --cluster swarm.json --trace day.jsonl --json',
      'tabswarm simulate --scenario evening --report evening.html',
      'tabswarm simulate --random 24x32 --seed 7 --save-cluster swarm.json',
    ],
  },
  options: simulateOptions,
  linesTo: () => 'stdout',
  async run(parsed, _runtime, output) {
    refuseWords('simulate', parsed.words)
    refuseSwallowedByNpm('simulate', Object.keys(simulateOptions), process.env)
    checkTogether(parsed)
    const { values } = parsed
    const swarm = swarmOf(values)
    if (values.saveCluster !== undefined) writeText('--save-cluster', values.saveCluster, formatCluster(swarm.cluster))
    if (values.saveTrace !== undefined) writeText('--save-trace', values.saveTrace, formatTrace(swarm.trace ?? []))
    const { cluster, trace, seconds } = swarm
    const lines = trace === null ? runStatic(cluster, values) : runChurn({ cluster, trace, seconds }, values)
    for (const line of lines) output.line(line)
    return 0
  },
})

type Swarm = Omit<ChurnScenario, 'trace'> & { trace: ChurnScenario['trace'] | null }

/** @throws SwarmError BAD_OPTION */
function swarmOf({ cluster: file, trace: traceFile, scenario, random, seed }: SimulateValues): Swarm {
  if (scenario !== undefined && isScenarioName(scenario)) return makeScenario(scenario, seed)
  if (file !== undefined) {
    const cluster = readCluster(file)
    const trace = traceFile === undefined ? null : readTrace(traceFile, cluster)
    return { cluster, trace, seconds: trace?.at(-1)?.t ?? 0 }
  }
  const size = readSize(random ?? '') ?? { peers: 0, units: 0 }
  return { cluster: randomCluster({ ...size, seed }), trace: null, seconds: 0 }
}
