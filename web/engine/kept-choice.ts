/**
 * What an autotune chose, as it is kept for the next start: the key says for what it holds, and a value that is damaged, of an earlier
 * build, or not to be had on this adapter counts as none.
 */
import type { KvFormat, LlamaConfig, WeightFormat } from '../../swarm/model/config.ts'
import type { Gpu } from '../gpu/device.ts'
import {
  BLOCK_KERNELS,
  defaultChoice,
  variantsLike,
  workgroupsOf,
  type ChoosingGpu,
  type KernelChoice,
} from '../gpu/kernels/kernel-choice.ts'

export interface ChoiceKey {
  gpu: Pick<Gpu, 'description' | 'features'>
  config: LlamaConfig
  format: WeightFormat
  kv: KvFormat
  /** Of the kernels: `kernelVersion`. */
  version: string
}

export function choiceKey({ gpu, config, format, kv, version }: ChoiceKey): string {
  const { hiddenSize, intermediateSize, numAttentionHeads, numKeyValueHeads, headDim } = config
  const shape = [hiddenSize, intermediateSize, numAttentionHeads, numKeyValueHeads, headDim].join(',')
  return ['kernels', version, gpu.description, gpu.features.toSorted().join(','), shape, format, `kv ${kv}`].join('|')
}

/** What was kept, where it is a choice that this adapter may make. */
export function readChoice(kept: unknown, gpu: ChoosingGpu): KernelChoice | null {
  if (typeof kept !== 'object' || kept === null) return null
  const first = defaultChoice(gpu)
  const fields = kept as Readonly<Record<string, unknown>>
  if (Object.keys(fields).length !== Object.keys(first).length) return null
  const matMul = variantsLike(first.matMul, gpu).find((variant) => variant === fields['matMul'])
  if (matMul === undefined) return null
  const sizeOf = (value: unknown): number | null => workgroupsOf(matMul, gpu).find((size) => size === value) ?? null
  const matVecWorkgroup = sizeOf(fields['matVecWorkgroup'])
  const matMulWorkgroup = sizeOf(fields['matMulWorkgroup'])
  const blockKernels = BLOCK_KERNELS.find((way) => way === fields['blockKernels'])
  if (matVecWorkgroup === null || matMulWorkgroup === null || blockKernels === undefined) return null
  return { matMul, blockKernels, matVecWorkgroup, matMulWorkgroup }
}
