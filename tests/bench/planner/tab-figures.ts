/** What the tab benchmarks run on, in numbers: apart from `tab-swarm.ts`, so that a calculation with them needs no browser. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseLlamaConfig } from '../../../swarm/model/parse-config.ts'
import { unitWeightsOf, weightOfSpan } from '../../../swarm/model/unit-weights.ts'
import { REPO_ROOT } from '../../support/processes.ts'

export const MODELS = join(REPO_ROOT, 'tests/fixtures/models')
export const REPO = 'blocks32-bf16-sharded'
/** What each block costs for a token, in blocks: the last has the head, which in so small a model is worth almost four. */
export const UNIT_WEIGHTS = unitWeightsOf(
  parseLlamaConfig(JSON.parse(readFileSync(join(MODELS, REPO, 'config.json'), 'utf8'))),
)
/** A token's way through the model, in block-steps. */
const TOKEN_STEPS = weightOfSpan({ start: 0, end: UNIT_WEIGHTS.length }, UNIT_WEIGHTS)
/** Of the swarm of `tabs-churn`, block-steps a second. */
export const TAB_SPEEDS = [20, 14, 18, 12, 22, 16, 14, 12]

/** Tokens a second that no placement of peers with these block-steps a second can beat. */
export function tokensBound(speeds: readonly number[]): number {
  return speeds.reduce((sum, speed) => sum + speed, 0) / TOKEN_STEPS
}
