/** The placement rules there are, for tabs and simulator alike. */
import { flowRule } from './flow/flow-rule.ts'
import type { Objective } from './model.ts'
import { petalsRule } from './petals.ts'
import type { RuleName } from './rule-names.ts'
import type { PlacementRule } from './types.ts'

/** `objective` is for `flow`: the published rule has one of its own. */
export function placementRule(name: RuleName, objective: Objective = 'expected'): PlacementRule {
  switch (name) {
    case 'flow':
      return flowRule(objective)
    case 'petals':
      return petalsRule
  }
}
