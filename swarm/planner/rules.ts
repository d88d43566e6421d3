/** The placement rules there are, for tabs and simulator alike. */
import { flowRule } from './flow/flow-rule.ts'
import type { Objective } from './model.ts'
import { petalsRule } from './petals.ts'
import type { PlacementRule } from './types.ts'

/** The default first; where none is named, the simulator runs a trace under each. */
export const RULE_NAMES = ['flow', 'petals'] as const
export type RuleName = (typeof RULE_NAMES)[number]

/** What tabs go by that were told nothing. */
export const DEFAULT_RULE: RuleName = RULE_NAMES[0]

/** `objective` is for `flow`: the published rule has one of its own. */
export function placementRule(name: RuleName, objective: Objective = 'expected'): PlacementRule {
  switch (name) {
    case 'flow':
      return flowRule(objective)
    case 'petals':
      return petalsRule
  }
}
