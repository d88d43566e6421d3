/** The placement rules that a tab can go by. */
import { flowRule } from './flow/flow-rule.ts'
import { petalsRule } from './petals.ts'
import type { PlacementRule } from './types.ts'

export const RULE_CHOICES = ['petals', 'flow'] as const
export type RuleChoice = (typeof RULE_CHOICES)[number]

/** What tabs go by that were told nothing. */
export const DEFAULT_RULE: RuleChoice = 'petals'

export function placementRule(choice: RuleChoice): PlacementRule {
  return choice === 'flow' ? flowRule('expected') : petalsRule
}
