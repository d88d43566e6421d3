/** The `flow` rule's placements of a whole swarm, in whichever form its peers are described. */
import type { Objective, SwarmModel } from '../model.ts'
import { planSteps, planStepsJoins, type FlowPlan } from './plan-steps.ts'
import { planTable, planTableJoins } from './plan-table.ts'

/** A joiner's move, once all are there, must gain this much, relative: evenness is a finer figure than flow. */
const STEPS_GAIN = 0.01
const TABLE_GAIN = 0.001

export interface FlowOptions {
  objective: Objective
  /** Bound of the mean hops of a token at full flow; of swarms in table form. */
  maxHops?: number | undefined
}

/** For all at once. */
export function planAll(model: SwarmModel, { objective, maxHops = Infinity }: FlowOptions): FlowPlan {
  return isTable(model) || Number.isFinite(maxHops) ? planTable(model, maxHops) : planSteps(model, objective)
}

/** Peers arrive in the model's order, each choosing for itself; then all look around in turn until nobody gains enough. */
export function planJoins(model: SwarmModel, { objective }: FlowOptions): FlowPlan {
  return isTable(model) ? planTableJoins(model, TABLE_GAIN) : planStepsJoins(model, objective, STEPS_GAIN)
}

function isTable({ peers }: SwarmModel): boolean {
  return peers.some(({ speed }) => speed.kind === 'table')
}
