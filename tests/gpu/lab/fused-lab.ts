/** One model run twice, with the fused kernels of few rows and without, and the dispatches of both counted. */
import type { KvFormat, WeightFormat } from '../../../swarm/model/config.ts'
import type { Gpu } from '../../../web/gpu/device.ts'
import type { BlockKernels, KernelChoice } from '../../../web/gpu/kernels/kernel-choice.ts'
import type { ModelFiles } from '../../reference/model-files.ts'
import { seededRandom } from '../../unit/swarm/planner/support.ts'
import { bitsThatDiffer, Chain, ok } from './model-lab.ts'

export interface FusedResult {
  /** Steps whose last logits were compared, and logits of them that differ in a bit. */
  compared: number
  differ: number
  /** In a step of one row far from the start, of each block. */
  dispatches: Record<BlockKernels, number>
}

/** Rows of the steps: a prefill up to just before the second split of attention, then few at a time across its edge. */
const STEPS = [120, 1, 2, 3, 1, 1, 2, 4, 1, 3, 1]

export async function fusedAgainstSeparate(
  gpu: Gpu,
  model: ModelFiles,
  options: { format: WeightFormat; kv: KvFormat; choice: Partial<KernelChoice> },
): Promise<FusedResult> {
  const total = STEPS.reduce((sum, rows) => sum + rows)
  const chain = (blockKernels: BlockKernels, cuts: number[]): Promise<Chain> =>
    Chain.create(gpu, model, { ...options, cacheTokens: 2 * total, cuts, choice: { ...options.choice, blockKernels } })
  const chains = [await chain('separate', []), await chain('fused', [])]
  const sessions = await Promise.all(chains.map((each) => each.open(total)))
  const random = seededRandom(11)
  const result: FusedResult = { compared: 0, differ: 0, dispatches: { separate: 0, fused: 0 } }
  for (const rows of STEPS) {
    const ids = Array.from({ length: rows }, () => Math.floor(random() * model.config.vocabSize))
    const [separate, fused] = [await sessions[0]!.step(ids), await sessions[1]!.step(ids)]
    result.compared += 1
    result.differ += bitsThatDiffer(separate, fused)
  }
  for (const each of chains) await each.dispose()
  for (const blockKernels of ['separate', 'fused'] as const) {
    result.dispatches[blockKernels] = await dispatchesABlock(await chain(blockKernels, [1]), model)
  }
  return result
}

/** Of a span without an embedding: the last of the chain; what the head adds is asked for by no step here. */
async function dispatchesABlock(chain: Chain, { config }: ModelFiles): Promise<number> {
  const runner = chain.runners.at(-1)!
  const session = 'd'.repeat(32)
  await runner.openSession({ session, span: runner.span, maxTokens: 8 })
  const { prototype } = GPUComputePassEncoder
  const dispatch = Reflect.get(prototype, 'dispatchWorkgroups') as GPUComputePassEncoder['dispatchWorkgroups']
  let count = 0
  prototype.dispatchWorkgroups = function (this: GPUComputePassEncoder, ...sizes) {
    count += 1
    return dispatch.apply(this, sizes)
  }
  try {
    // The first one: nothing is encoded ahead beside it.
    const hidden = new Float32Array(config.hiddenSize).fill(0.01)
    ok((await runner.step([{ session, position: 0, rows: 1, hidden }]))[0])
  } finally {
    prototype.dispatchWorkgroups = dispatch
    await chain.dispose()
  }
  return count / (runner.span.end - runner.span.start)
}
