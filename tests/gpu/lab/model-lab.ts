/** Whole models through `createSpanRunner` on the lab's GPU; what is done with them is in tests/support/span-chain.ts. */
import type { WeightFormat } from '../../../swarm/model/config.ts'
import type { Span } from '../../../swarm/span.ts'
import type { SpanRunner } from '../../../swarm/span-runner.ts'
import { createSpanRunner } from '../../../web/engine/span-runner.ts'
import type { SpanRunnerOptions } from '../../../web/engine/span-runner.ts'
import { SpanWeights } from '../../../web/engine/weights.ts'
import type { Gpu } from '../../../web/gpu/device.ts'
import type { ModelFiles } from '../../reference/model-files.ts'
import { putTensors, SpanChain, spansBetween } from '../../support/span-chain.ts'

export { bitsThatDiffer, byId, ChainSession, greedy, maxDelta, ok } from '../../support/span-chain.ts'

export interface ChainOptions extends SpanRunnerOptions {
  format: WeightFormat
  /** First blocks of the second, third, … span; empty: one runner. */
  cuts: number[]
}

export async function loadWeights(gpu: Gpu, model: ModelFiles, span: Span, format: WeightFormat): Promise<SpanWeights> {
  const weights = SpanWeights.create(gpu, model.config, span, format)
  await putTensors(weights, model, span)
  return weights
}

export class Chain extends SpanChain {
  static async create(gpu: Gpu, model: ModelFiles, options: ChainOptions): Promise<Chain> {
    const { format, cuts, ...runnerOptions } = options
    const runners: SpanRunner[] = []
    for (const span of spansBetween(cuts, model.config.numHiddenLayers)) {
      const weights = await loadWeights(gpu, model, span, format)
      runners.push(await createSpanRunner(gpu, model.config, weights, runnerOptions))
    }
    return new Chain(model.config, runners)
  }
}
