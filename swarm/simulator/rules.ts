/**
 * The planner's rules as the simulator calls them: the same functions as in every tab, with shortcuts that change no
 * answer, because a simulated day asks them a million times.
 */
import { unclaimedBlocks } from '../planner/coverage.ts'
import type { Objective } from '../planner/model.ts'
import { petalsRule } from '../planner/petals.ts'
import { placementRule } from '../planner/rules.ts'
import { type RuleName } from '../planner/rule-names.ts'
import type { BalanceCheck, BalanceOptions, PlacementRule, SwarmView } from '../planner/types.ts'
import { placedPeers } from '../planner/view.ts'

/** Slack of the published rule's comparison, see `petals.ts`. */
const EPSILON = 1e-3

export interface CheckRequest extends BalanceOptions {
  view: SwarmView
  peerId: string
}

export interface SimulatedRule {
  readonly rule: PlacementRule
  check: (request: CheckRequest) => BalanceCheck
}

/** The published rule, with a view that surely makes no move told from one look at the sums. */
export function simulatedPetals(): SimulatedRule {
  const mostQuality = new WeakMap<SwarmView, number>()
  return {
    rule: petalsRule,
    check({ view, peerId, balanceQuality, random }) {
      let least = mostQuality.get(view)
      if (least === undefined) {
        least = leastQuality(view)
        mostQuality.set(view, least)
      }
      // Quality can only be better than this bound, and the rule would say `balanced` or find nothing better.
      if (least >= balanceQuality - EPSILON) {
        return { initial: 0, simulated: 0, quality: least, moveTo: null, reason: 'balanced' }
      }
      return petalsRule.checkBalance(view, peerId, { balanceQuality, random })
    },
  }
}

/** What is never above initial ÷ simulated: the poorest block cannot be worth more than the mean one. */
function leastQuality(view: SwarmView): number {
  const values = new Float64Array(view.blocks)
  let sum = 0
  for (const peer of placedPeers(view)) {
    const { start, end } = peer.span
    const share = peer.blockStepsPerSecond / (end - start)
    sum += peer.blockStepsPerSecond
    for (let block = start; block < end; block += 1) values[block] = (values[block] as number) + share
  }
  return sum === 0 ? 1 : Math.min(...values) / (sum / view.blocks)
}

export function hasHole(view: SwarmView): boolean {
  return unclaimedBlocks(view).length > 0
}

export function simulatedRule(name: RuleName, objective: Objective = 'expected'): SimulatedRule {
  if (name === 'petals') return simulatedPetals()
  const rule = placementRule(name, objective)
  return { rule, check: ({ view, peerId, ...options }) => rule.checkBalance(view, peerId, options) }
}
