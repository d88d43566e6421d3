/**
 * All kernels of one weight format, compiled together once, and the uniforms that they share. Files of `shaders/` are joined
 * here: a weight format in front of the operations that read weights.
 */
import addSource from '../../../shaders/add.wgsl?raw'
import addBiasSource from '../../../shaders/add_bias.wgsl?raw'
import mergeSource from '../../../shaders/attention_merge.wgsl?raw'
import scoresSource from '../../../shaders/attention_scores.wgsl?raw'
import softmaxSource from '../../../shaders/attention_softmax.wgsl?raw'
import splitSource from '../../../shaders/attention_split.wgsl?raw'
import valuesSource from '../../../shaders/attention_values.wgsl?raw'
import embedSource from '../../../shaders/embed.wgsl?raw'
import kvF16Source from '../../../shaders/kv_f16.wgsl?raw'
import kvF32Source from '../../../shaders/kv_f32.wgsl?raw'
import fourRowsSource from '../../../shaders/four_rows.wgsl?raw'
import matFrameSource from '../../../shaders/mat_frame.wgsl?raw'
import matInputSource from '../../../shaders/mat_input.wgsl?raw'
import matInputNormSource from '../../../shaders/mat_input_norm.wgsl?raw'
import matMulSource from '../../../shaders/mat_mul.wgsl?raw'
import matMulGroupsSource from '../../../shaders/mat_mul_groups.wgsl?raw'
import matMulGroupsQuadsSource from '../../../shaders/mat_mul_groups_quads.wgsl?raw'
import matMulLanesSource from '../../../shaders/mat_mul_lanes.wgsl?raw'
import matMulQuadsSource from '../../../shaders/mat_mul_quads.wgsl?raw'
import matOutputSource from '../../../shaders/mat_output.wgsl?raw'
import matOutputSiluSource from '../../../shaders/mat_output_silu.wgsl?raw'
import matVecSource from '../../../shaders/mat_vec.wgsl?raw'
import matVecGroupsSource from '../../../shaders/mat_vec_groups.wgsl?raw'
import rmsNormSource from '../../../shaders/rms_norm.wgsl?raw'
import ropeSource from '../../../shaders/rope.wgsl?raw'
import ropeF16Source from '../../../shaders/rope_f16.wgsl?raw'
import siluMulSource from '../../../shaders/silu_mul.wgsl?raw'
import topKSource from '../../../shaders/top_k.wgsl?raw'
import weightsF16Source from '../../../shaders/weights_f16.wgsl?raw'
import weightsF32Source from '../../../shaders/weights_f32.wgsl?raw'
import weightsInt4Source from '../../../shaders/weights_int4.wgsl?raw'
import weightsInt8Source from '../../../shaders/weights_int8.wgsl?raw'
import type { KvFormat, WeightFormat } from '../../../swarm/model/config.ts'
import type { Gpu } from '../device.ts'
import { assert } from '../../../swarm/errors.ts'
import type { Dispatch, StepShape } from '../kernel.ts'
import { Kernel, makeDispatch } from '../kernel.ts'
import { defaultChoice, MAT_MUL_VARIANTS, type KernelChoice, type MatMulVariant } from './kernel-choice.ts'

/** What one unit of a matrix kernel takes: rows of w by rows of x, and so many invocations work on it. */
export interface Tile {
  rows: number
  tokens: number
  lanes: number
  /** All of a workgroup take the same rows of x: those of w are filled up to whole workgroups. */
  oneToken: boolean
}

function tilesOf(format: WeightFormat, variant: MatMulVariant): { vec: Tile; mul: Tile } {
  const lanes = variant === 'lanes' ? 32 : 1
  const vec = { rows: 4, tokens: 1, lanes, oneToken: true }
  // Sums of groups take registers of their own.
  const tokens = hasScales(format) && variant !== 'lanes' ? 4 : 8
  const mul = variant === 'quads' ? { rows: 16, tokens, lanes: 4 } : { rows: 4, tokens, lanes }
  return { vec, mul: { ...mul, oneToken: variant === 'lanes' } }
}

function hasScales(format: WeightFormat): boolean {
  return format === 'int8' || format === 'int4'
}

const WEIGHT_SOURCES: Readonly<Record<WeightFormat, string>> = {
  f32: weightsF32Source,
  f16: weightsF16Source,
  int8: weightsInt8Source,
  int4: weightsInt4Source,
}

const KV_SOURCES: Readonly<Record<KvFormat, string>> = { f32: kvF32Source, f16: kvF16Source }

/**
 * How many query heads that share a KV head one invocation of attention handles together, at most four: of `group` such heads so
 * many that the fewest repeat. Any number is right for any group.
 */
export function sharedHeadsOf(group: number): number {
  return Math.ceil(group / Math.ceil(group / 4))
}

function sources(format: WeightFormat, choice: Omit<KernelChoice, 'blockKernels'>, kv: KvFormat, sharedHeads: number) {
  const { matMul: variant, matVecWorkgroup, matMulWorkgroup } = choice
  const weights = WEIGHT_SOURCES[format]
  const attention = (source: string): string =>
    `const HEADS = ${sharedHeads}u;\n${KV_SOURCES[kv]}\n${fourRowsSource}\n${source}`
  const scaled = hasScales(format)
  const matrix = (
    workgroup: number,
    loop: string,
    { input = matInputSource, output = matOutputSource, added = false } = {},
  ) =>
    [
      `const WORKGROUP = ${workgroup}u;\nconst ADDED = ${added};`,
      weights,
      fourRowsSource,
      matFrameSource,
      input,
      output,
      loop,
    ].join('\n')
  const lanes = (tokens: number): string => `const TOKENS = ${tokens}u;\n${matMulLanesSource}`
  const vecLoop = variant === 'lanes' ? lanes(1) : scaled ? matVecGroupsSource : matVecSource
  const mulLoop = {
    threads: scaled ? matMulGroupsSource : matMulSource,
    quads: scaled ? matMulGroupsQuadsSource : matMulQuadsSource,
    lanes: lanes(8),
  }[variant]
  // Behind what the format binds.
  const norm = matInputNormSource.replace('@binding(NORM)', `@binding(${scaled ? 6 : 5})`)
  return {
    embed: `${weights}\n${embedSource}`,
    rmsNorm: rmsNormSource,
    matVec: matrix(matVecWorkgroup, vecLoop),
    matVecNorm: matrix(matVecWorkgroup, vecLoop, { input: norm }),
    matVecAdd: matrix(matVecWorkgroup, vecLoop, { added: true }),
    matVecSilu: matrix(matVecWorkgroup, vecLoop, { input: norm, output: matOutputSiluSource }),
    matMul: `${variant === 'quads' ? 'enable subgroups;\n' : ''}${matrix(matMulWorkgroup, mulLoop)}`,
    rope: kv === 'f16' ? ropeF16Source : ropeSource,
    attentionScores: attention(scoresSource),
    attentionSoftmax: softmaxSource,
    attentionValues: attention(valuesSource),
    attentionSplit: attention(splitSource),
    attentionMerge: mergeSource,
    siluMul: siluMulSource,
    add: addSource,
    addBias: addBiasSource,
    topK: topKSource,
  }
}

/** Of the text of all kernels that a choice may have in these formats: what was measured of others does not hold. */
export function kernelVersion(format: WeightFormat, kv: KvFormat): string {
  const texts = MAT_MUL_VARIANTS.flatMap((matMul) => {
    return Object.values(sources(format, { matMul, matVecWorkgroup: 64, matMulWorkgroup: 64 }, kv, 4))
  })
  // FNV-1a: two builds are to be told apart, nobody is kept out.
  let hash = 0x811c9dc5
  for (const text of texts) {
    for (let at = 0; at < text.length; at += 1) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193)
  }
  return (hash >>> 0).toString(16)
}

const STEP_BYTES = 16

export type KernelName = keyof ReturnType<typeof sources>

/** What only `blockKernels: 'fused'` runs. */
const FUSED: ReadonlySet<string> = new Set<KernelName>(['matVecNorm', 'matVecAdd', 'matVecSilu', 'attentionSplit'])

export interface KernelSetOptions {
  format: WeightFormat
  /** f32 where it is left out. */
  kv?: KvFormat
  /** See `sharedHeadsOf`; 4 where it is left out. */
  sharedHeads?: number
  /** What it leaves out is chosen by the kind of adapter. */
  choice?: Partial<KernelChoice>
}

export class KernelSet {
  /** See `sharedHeadsOf`. */
  readonly sharedHeads: number
  /** `step` of every kernel that takes all rows of a chunk alike; written once for each chunk. */
  readonly #step: GPUBuffer
  readonly #gpu: Gpu
  readonly #format: WeightFormat
  readonly #kv: KvFormat
  /** By their text: choices differ in few of them. */
  readonly #compiled = new Map<string, Promise<Kernel>>()
  readonly #stepWords = new Uint32Array(STEP_BYTES / 4)
  #choice: KernelChoice
  #kernels: Readonly<Partial<Record<KernelName, Kernel>>> = {}
  /** Equal params share one uniform: a model's blocks differ only in their weights. */
  readonly #params = new Map<string, GPUBuffer>()

  private constructor(gpu: Gpu, { format, kv = 'f32', sharedHeads = 4, choice }: KernelSetOptions) {
    this.#gpu = gpu
    this.#format = format
    this.#kv = kv
    this.sharedHeads = sharedHeads
    this.#choice = defaultChoice(gpu, choice)
    this.#step = this.createStep()
  }

  static async create(gpu: Gpu, options: KernelSetOptions): Promise<KernelSet> {
    const kernels = new KernelSet(gpu, options)
    await kernels.use(kernels.choice)
    return kernels
  }

  get choice(): KernelChoice {
    return this.#choice
  }

  /** Of `matVec*` and `matMul`. */
  get tiles(): { vec: Tile; mul: Tile } {
    return tilesOf(this.#format, this.#choice.matMul)
  }

  /** Compiles what this choice has and the ones before did not. Dispatches made before and after run its kernels from then on. */
  async use(choice: KernelChoice): Promise<void> {
    const all = Object.entries(sources(this.#format, choice, this.#kv, this.sharedHeads))
    const named = all.filter(([name]) => choice.blockKernels === 'fused' || !FUSED.has(name))
    const compiled = await Promise.all(named.map(async ([name, code]) => [name, await this.#compile(name, code)]))
    this.#kernels = Object.fromEntries(compiled) as Partial<Record<KernelName, Kernel>>
    this.#choice = choice
  }

  #compile(name: string, code: string): Promise<Kernel> {
    const made = this.#compiled.get(code) ?? Kernel.create(this.#gpu, name, code)
    this.#compiled.set(code, made)
    return made
  }

  kernel(name: KernelName): Kernel {
    const kernel = this.#kernels[name]
    assert(kernel !== undefined, `${name} is among the kernels chosen`)
    return kernel
  }

  /** One dispatch of kernel `name`; `buffers` follow params and `step` in the order of the kernel's bindings. */
  dispatch(
    name: KernelName,
    label: string,
    params: Record<string, number>,
    buffers: readonly GPUBuffer[],
    invocations: (step: StepShape) => number,
    step: GPUBuffer = this.#step,
  ): Dispatch {
    return makeDispatch(
      label,
      () => this.bindGroup(name, label, params, buffers, step),
      (shape) => ({ kernel: this.kernel(name), invocations: invocations(shape) }),
    )
  }

  bindGroup(
    name: KernelName,
    label: string,
    params: Record<string, number>,
    buffers: readonly GPUBuffer[],
    step: GPUBuffer = this.#step,
  ): GPUBindGroup {
    const kernel = this.kernel(name)
    return kernel.bind(label, [this.#paramsBuffer(kernel.packParams(params)), step, ...buffers])
  }

  /** A `step` of a session's own, for its attention. The caller destroys it. */
  createStep(): GPUBuffer {
    const usage = GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST
    return this.#gpu.device.createBuffer({ label: 'step', size: STEP_BYTES, usage })
  }

  /** For what is submitted after this call. */
  writeStep({ rows, position, splits, first }: StepShape, step: GPUBuffer = this.#step): void {
    const words = this.#stepWords
    words[0] = rows
    words[1] = position
    words[2] = splits
    words[3] = first
    this.#gpu.device.queue.writeBuffer(step, 0, words)
  }

  destroy(): void {
    this.#step.destroy()
    for (const buffer of this.#params.values()) buffer.destroy()
  }

  #paramsBuffer(bytes: ArrayBuffer): GPUBuffer {
    const key = new Uint32Array(bytes).join(',')
    let buffer = this.#params.get(key)
    if (buffer === undefined) {
      const usage = GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST
      buffer = this.#gpu.device.createBuffer({ label: 'params', size: bytes.byteLength, usage })
      this.#gpu.device.queue.writeBuffer(buffer, 0, bytes)
      this.#params.set(key, buffer)
    }
    return buffer
  }
}
