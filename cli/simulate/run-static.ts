/** A cluster planned once, as lines. */
import type { Cluster } from '../../swarm/simulator/cluster.ts'
import { measurePlan, planCluster, type StaticOptions } from '../../swarm/simulator/plan-cluster.ts'
import { RULE_NAMES } from '../../swarm/planner/rule-names.ts'
import type { SimulateValues } from './options.ts'
import { staticLines } from './table.ts'

export function runStatic(cluster: Cluster, values: SimulateValues): string[] {
  const { maxHops } = values
  const options: StaticOptions = {
    cluster,
    rule: RULE_NAMES.find((name) => name === values.rule) ?? RULE_NAMES[0],
    mode: values.mode === 'global' ? 'global' : 'joins',
    objective: values.objective === 'capacity' ? 'capacity' : 'expected',
    seed: values.seed,
    balanceQuality: values.balanceQuality,
    ...(maxHops === undefined ? {} : { maxHops }),
  }
  const started = performance.now()
  const plan = planCluster(options)
  const planMs = Math.round((performance.now() - started) * 10) / 10
  const result = { ...measurePlan(options, plan), ...(values.time ? { planMs } : {}) }
  return values.json ? [JSON.stringify(result)] : staticLines(result)
}
