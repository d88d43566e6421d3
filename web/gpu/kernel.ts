/**
 * From WGSL text to something that can be dispatched. The text is the only place that says what a kernel's bindings, its
 * `Params` and its workgroup size are: they are read from it here, so there is no second copy to drift.
 * Convention: binding 0 is `params` (fixed for a bind group), binding 1 is `step` (rewritten for each chunk of rows), then
 * inputs, last the outputs; everything in group 0.
 */
import { assert, describeError } from '../../swarm/errors.ts'
import type { Gpu } from './device.ts'

/**
 * What changes from chunk to chunk: rows T, position of the first row, attention splits that the last row reaches, and where among
 * the rows of a chunk those of one session begin. Only attention looks at the last three; other kernels take all rows alike.
 */
export interface StepShape {
  rows: number
  position: number
  splits: number
  first: number
}

/** One dispatch, made at load or session start. */
export interface Dispatch {
  readonly label: string
  /** Made when it is first asked for. */
  readonly bindGroup: GPUBindGroup
  /** Chooses the variant and the number of invocations for this step; null: it has no part in such a step. */
  readonly plan: (step: StepShape) => { kernel: Kernel; invocations: number } | null
}

export function makeDispatch(label: string, bind: () => GPUBindGroup, plan: Dispatch['plan']): Dispatch {
  let bound: GPUBindGroup | null = null
  return {
    label,
    get bindGroup() {
      return (bound ??= bind())
    },
    plan,
  }
}

/** The same dispatches, but only in steps that `has` says yes to. */
export function onlyWhere(has: (step: StepShape) => boolean, dispatches: readonly Dispatch[]): Dispatch[] {
  return dispatches.map((dispatch) =>
    makeDispatch(
      dispatch.label,
      () => dispatch.bindGroup,
      (step) => (has(step) ? dispatch.plan(step) : null),
    ),
  )
}

/** More workgroups than this in one dimension are refused, on some engines without an error: the rest goes to y. */
const MAX_GRID = 65_535
/** GPUShaderStage.COMPUTE, which exists as a global only where there is WebGPU; bindings are also read in tests without. */
const COMPUTE_STAGE = 4
/** Of a shader that does not compile: the first ones say why. */
const MAX_MESSAGES = 4

export function encode(pass: GPUComputePassEncoder, dispatch: Dispatch, step: StepShape): void {
  const planned = dispatch.plan(step)
  if (planned === null) return
  const { kernel, invocations } = planned
  const groups = Math.ceil(invocations / kernel.workgroupSize)
  const x = Math.min(groups, MAX_GRID)
  pass.setPipeline(kernel.pipeline)
  pass.setBindGroup(0, dispatch.bindGroup)
  pass.dispatchWorkgroups(x, Math.ceil(groups / x))
}

export class Kernel {
  readonly name: string
  readonly pipeline: GPUComputePipeline
  readonly workgroupSize: number
  readonly #gpu: Gpu
  readonly #layout: GPUBindGroupLayout
  readonly #fields: ParamField[]

  private constructor(gpu: Gpu, name: string, code: string, layout: GPUBindGroupLayout, pipeline: GPUComputePipeline) {
    this.#gpu = gpu
    this.name = name
    this.pipeline = pipeline
    this.workgroupSize = readWorkgroupSize(name, code)
    this.#layout = layout
    this.#fields = readParams(name, code)
  }

  /** Compiles; a failure is a bug of ours or of the driver and names the kernel. */
  static async create(gpu: Gpu, name: string, code: string): Promise<Kernel> {
    const layout = gpu.device.createBindGroupLayout({ label: name, entries: readBindings(name, code) })
    const module = gpu.device.createShaderModule({ label: name, code })
    try {
      const pipeline = await gpu.device.createComputePipelineAsync({
        label: name,
        layout: gpu.device.createPipelineLayout({ label: name, bindGroupLayouts: [layout] }),
        compute: { module, entryPoint: 'main' },
      })
      return new Kernel(gpu, name, code, layout, pipeline)
    } catch (error) {
      // A device that was lost meanwhile has none, and what it was lost by is in the error.
      const messages = await module.getCompilationInfo().then(
        (info) => info.messages.slice(0, MAX_MESSAGES).map(({ lineNum, message }) => `line ${lineNum}: ${message}`),
        () => [],
      )
      const why = [describeError(error), ...messages].join('; ')
      throw new Error(`kernel ${name} did not compile: ${why}`, { cause: error })
    }
  }

  /** Bytes of this kernel's `Params` with these values; every field must be given. */
  packParams(values: Record<string, number>): ArrayBuffer {
    assert(Object.keys(values).length === this.#fields.length, `${this.name} params ${Object.keys(values).join(', ')}`)
    const view = new DataView(new ArrayBuffer(Math.ceil(this.#fields.length / 4) * 16))
    this.#fields.forEach(({ name, type }, index) => {
      const value = values[name]
      assert(value !== undefined, `${this.name} params lack ${name}`)
      if (type === 'f32') view.setFloat32(index * 4, value, true)
      else view.setUint32(index * 4, value, true)
    })
    return view.buffer
  }

  /** Binds params, step and the other buffers in the order of their binding numbers. */
  bind(label: string, buffers: readonly GPUBuffer[]): GPUBindGroup {
    return this.#gpu.device.createBindGroup({
      label,
      layout: this.#layout,
      entries: buffers.map((buffer, binding) => ({ binding, resource: { buffer } })),
    })
  }
}

interface ParamField {
  name: string
  type: 'u32' | 'f32'
}

/** Exported for the unit test that holds the shader folder to the convention. */
export function readParams(name: string, code: string): ParamField[] {
  const body = /struct Params \{([^}]*)\}/.exec(code)?.[1]
  assert(body !== undefined, `${name} has no struct Params`)
  return [...body.matchAll(/(\w+): (\w+)/g)].map(([, field, type]) => {
    assert(type === 'u32' || type === 'f32', `${name}: Params.${field} is ${type}, only u32 and f32 are packed`)
    return { name: field as string, type }
  })
}

export function readBindings(name: string, code: string): GPUBindGroupLayoutEntry[] {
  const found = [...code.matchAll(/@binding\((\d+)\) var<(uniform|storage, read|storage, read_write)>/g)]
  const entries = found.map(([, index, kind]) => ({
    binding: Number(index),
    visibility: COMPUTE_STAGE,
    buffer: { type: bufferType(kind) },
  }))
  entries.sort((a, b) => a.binding - b.binding)
  assert(
    entries.length >= 3 && entries.every((entry, i) => entry.binding === i),
    `${name}: bindings are not numbered 0, 1, 2, …`,
  )
  return entries
}

function bufferType(kind: string | undefined): GPUBufferBindingType {
  if (kind === 'uniform') return 'uniform'
  return kind === 'storage, read' ? 'read-only-storage' : 'storage'
}

/** A number, or a constant of the prelude. */
function readWorkgroupSize(name: string, code: string): number {
  const size = /@workgroup_size\((\w+)\)/.exec(code)?.[1]
  assert(size !== undefined, `${name} has no workgroup size`)
  const value = /^\d+$/.test(size) ? size : new RegExp(`const ${size} = (\\d+)u;`).exec(code)?.[1]
  assert(value !== undefined, `${name} has no constant ${size}`)
  return Number(value)
}
