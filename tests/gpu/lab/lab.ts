/**
 * What the tests ask the GPU to do, by name, with plain data in and out. Runs in the lab's dedicated Worker over the product's
 * own web/gpu and web/engine. Each call leaves no buffer behind; a WebGPU validation error fails it.
 * The one list of calls, and long for that; what a group of them needs stands in a file of its own beside this one.
 */
import type { KvFormat, WeightChoice, WeightFormat } from '../../../swarm/model/config.ts'
import type { LogitsRow } from '../../../swarm/span-runner.ts'
import { ENGINE_MAX_ROWS, spanBytes } from '../../../swarm/model/span-bytes.ts'
import { CANARY, CANARY_CACHE_TOKENS, CANARY_SPAN, putCanary, runCanary } from '../../../web/engine/canary.ts'
import { measureThroughput } from '../../../web/engine/measure.ts'
import { createSpanRunner } from '../../../web/engine/span-runner.ts'
import { SpanWeights } from '../../../web/engine/weights.ts'
import type { ChoiceStore, TuningOptions } from '../../../web/engine/warm-up.ts'
import { DonorStore } from '../../../web/donor/donor-store.ts'
import type { Gpu } from '../../../web/gpu/device.ts'
import { openGpu } from '../../../web/gpu/device.ts'
import {
  MAT_MUL_VARIANTS,
  type BlockKernels,
  workgroupsOf,
  type KernelChoice,
  type MatMulVariant,
} from '../../../web/gpu/kernels/kernel-choice.ts'
import { KernelSet } from '../../../web/gpu/kernels/kernel-set.ts'
import type { FixtureReference } from '../../reference/fixtures.ts'
import { fixtureFolder, fixtureFrequencies, inFormat } from '../../reference/fixtures.ts'
import type { ModelFiles, ReadFile } from '../../reference/model-files.ts'
import { asF32, readJson, readModel, readSafetensors } from '../../reference/model-files.ts'
import { createReferenceRunner } from '../../reference/runner.ts'
import { duringAPrefill, randomInterleavings, type InterleavingResult } from '../../support/interleavings.ts'
import { prefixRules } from '../../support/prefix-rules.ts'
import { runnerRules, type MakeChain } from '../../support/runner-rules.ts'
import { BufferCount } from './counted-gpu.ts'
import { seededRandom } from '../../unit/swarm/planner/support.ts'
import { compileFailure, plainDevice } from './device-lab.ts'
import { fusedAgainstSeparate, type FusedResult } from './fused-lab.ts'
import { KERNEL_CASES } from './kernel-cases.ts'
import { measureMemory, type MemoryResult } from './memory-lab.ts'
import { KernelLab } from './kernel-lab.ts'
import { bitsThatDiffer, byId, Chain, greedy, loadWeights, maxDelta, ok } from './model-lab.ts'

let opened: Promise<Gpu> | null = null
const gpuErrors: string[] = []

async function gpu(): Promise<Gpu> {
  opened ??= openGpu({ adapter: 'any' }).then((found) => {
    found.device.addEventListener('uncapturederror', (event) => gpuErrors.push(event.error.message))
    return found
  })
  return opened
}

/** Fails the call when WebGPU complained meanwhile. */
async function checked<T>(work: (gpu: Gpu) => Promise<T>): Promise<T> {
  const found = await gpu()
  const result = await work(found)
  await found.device.queue.onSubmittedWorkDone()
  if (gpuErrors.length > 0) throw new Error(`WebGPU: ${gpuErrors.splice(0).join(' | ')}`)
  return result
}

export interface ModelOptions {
  format: WeightFormat
  variant: MatMulVariant
  /** Of keys and values; f32 where it is left out. */
  kv?: KvFormat
  /** Query heads that attention handles together; 4 where it is left out. */
  sharedHeads?: number
  /** Invocations in a workgroup of the matrix kernels; those of the default where it is left out. */
  workgroup?: number
  /** Those of the adapter where it is left out. */
  blockKernels?: BlockKernels
}

export interface FixtureResult {
  /** Over the logits of all 40 positions, token by token. */
  maxDelta: number
  greedy: number[]
  expectedGreedy: number[]
  /** Logits of the last position that differ in a bit from decode: prefilled at once, in chunks, over 2–4 spans. */
  prefillDiffers: number
  chunksDiffer: number
  chainDiffers: number
}

export function createLab(read: ReadFile) {
  return {
    async adapter(): Promise<{ description: string; software: boolean }> {
      const { description, software } = await gpu()
      return { description, software }
    },

    /** All that may be chosen on this adapter. */
    async choices(): Promise<{ variant: MatMulVariant; workgroup: number }[]> {
      const found = await gpu()
      return MAT_MUL_VARIANTS.flatMap((variant) =>
        workgroupsOf(variant, found).map((workgroup) => ({ variant, workgroup })),
      )
    },

    plainDevice,

    async brokenShader(code: string): Promise<string> {
      const message = await compileFailure(await gpu(), code)
      // Told to the device as well; what the calls after this one check is theirs.
      gpuErrors.splice(0)
      return message
    },

    /** Mismatches of one group of kernel cases; empty when all agree. */
    kernelCases(group: string, { format, kv = 'f32', sharedHeads = 4, ...options }: ModelOptions): Promise<string[]> {
      return checked(async (found) => {
        const kernels = await KernelSet.create(found, { format, kv, sharedHeads, choice: choiceOf(options) })
        const failures: string[] = []
        for (const run of KERNEL_CASES[group]!) {
          const lab = new KernelLab(found, kernels, format, kv)
          await run(lab)
          failures.push(...lab.failures)
          lab.destroy()
        }
        kernels.destroy()
        return failures
      })
    },

    fixture(name: string, { format, kv = 'f32', ...chosen }: ModelOptions): Promise<FixtureResult> {
      return checked(async (found) => {
        const folder = fixtureFolder(name)
        const model = await readModel(read, folder)
        const blocks = model.config.numHiddenLayers
        const reference = (await readJson(read, `${folder}/reference.json`)) as FixtureReference
        const kept = asF32((await readSafetensors(read, `${folder}/reference.safetensors`)).get('logits')!)
        const options = {
          format,
          kv,
          choice: choiceOf(chosen),
          cacheTokens: 200,
          ropeFrequencies: Float32Array.from(fixtureFrequencies(model.config, name)),
        }
        const ids = reference.input_ids
        // In other formats the kept reference is another model's; the plain reference on the weights as stored is this one's.
        const expected = format === 'f32' ? kept : await plainLogits(model, name, ids, format)
        const chain = await Chain.create(found, model, { ...options, cuts: [] })
        const decode = await chain.open(64)
        let worst = 0
        let last: LogitsRow | null = null
        for (const [position, id] of ids.entries()) {
          last = await decode.step([id])
          const { vocabSize } = model.config
          worst = Math.max(worst, maxDelta(last, expected.subarray(position * vocabSize, (position + 1) * vocabSize)))
        }
        const found24 = await greedy(decode, last!, reference.greedy.length)
        await decode.close()

        const prefill = await chain.open(64)
        const prefilled = await prefill.step(ids)
        await prefill.close()
        const chunked = await chain.open(64)
        for (const [begin, end] of [
          [0, 7],
          [7, 8],
          [8, 31],
        ]) {
          await chunked.step(ids.slice(begin, end))
        }
        const inChunks = await chunked.step(ids.slice(31))
        await chain.dispose()

        const count = Math.min(4, blocks)
        const cuts = Array.from({ length: count - 1 }, (_, i) => Math.round(((i + 1) * blocks) / count))
        const parts = await Chain.create(found, model, { ...options, cuts })
        const overSpans = await (await parts.open(64)).step(ids)
        await parts.dispose()
        return {
          maxDelta: worst,
          greedy: found24,
          expectedGreedy: reference.greedy,
          prefillDiffers: bitsThatDiffer(prefilled, last!),
          chunksDiffer: bitsThatDiffer(inChunks, last!),
          chainDiffers: bitsThatDiffer(overSpans, last!),
        }
      })
    },

    /** Cases of a trained model: prompt logits and greedy ids, the reference's ids being fed. */
    trained(options: {
      folder: string
      references: string
      format: WeightFormat
      cuts: number[]
      cases: number
      tokens: number
    }): Promise<TrainedResult[]> {
      return checked(async (found) => {
        const model = await readModel(read, options.folder)
        const references = (await readJson(read, `${options.references}/reference.json`)) as TrainedReference[]
        const logits = await readSafetensors(read, `${options.references}/reference.safetensors`)
        const chain = await Chain.create(found, model, { format: options.format, cacheTokens: 256, cuts: options.cuts })
        const results: TrainedResult[] = []
        for (const [index, reference] of references.slice(0, options.cases).entries()) {
          const expected = asF32(logits.get(`${index}.prompt_last_logits`)!)
          const session = await chain.open(256)
          let row = await session.step(reference.input_ids)
          const promptDelta = maxDelta(row, expected)
          const behindBest: number[] = []
          const started = performance.now()
          const count = Math.min(options.tokens, reference.greedy.length)
          for (const id of reference.greedy.slice(0, count)) {
            behindBest.push(row.values[0]! - row.values[row.ids.indexOf(id)]!)
            row = await session.step([id])
          }
          const decodeMs = (performance.now() - started) / count
          await session.close()
          results.push({ promptDelta, behindBest, exactSteps: reference.steps_before_a_near_tie ?? count, decodeMs })
        }
        await chain.dispose()
        return results
      })
    },

    throughput(folder: string, format: WeightFormat): Promise<{ blockStepsPerSecond: number }> {
      return checked(async (found) => {
        const model = await readModel(read, folder)
        const chain = await Chain.create(found, model, { format, cacheTokens: 64, cuts: [] })
        const result = await measureThroughput(chain.runners[0]!, model.config)
        await chain.dispose()
        return result
      })
    },

    /**
     * For memory limits all along the slider: what is planned for the dearest spans, and the most that the engine really has on
     * the GPU at once, loading, with as many sessions as a tab takes, and with the whole cache in use.
     */
    memory(folder: string, weights: WeightChoice, positions: number): Promise<MemoryResult[]> {
      return checked(async (found) => {
        const model = await readModel(read, folder)
        return await measureMemory(found, model, weights, positions)
      })
    },

    /**
     * A model whose matrices do not fit one binding: how many parts its table and its widest matrix are in, the largest storage
     * buffer that was made, and how many logits differ in a bit from those of whole matrices, prefilled and decoded.
     */
    cutMatrices(
      folder: string,
      format: WeightFormat,
      bindingBytes: number,
      blockKernels: BlockKernels,
    ): Promise<{ tableParts: number; gateUpParts: number; largestBuffer: number; differ: number; logits: number }> {
      return checked(async (found) => {
        const model = await readModel(read, folder)
        const whole = await bothSteps(found, model, format)
        const tight = withLimits(found, { maxStorageBufferBindingSize: bindingBytes, maxBufferSize: 2 * bindingBytes })
        const largest = largestStorage(found)
        const cut = await bothSteps(tight, model, format, blockKernels)
        largest.stop()
        return {
          tableParts: cut.weights.embedding?.parts.length ?? 0,
          gateUpParts: cut.weights.blocks[0]?.gateUp.parts.length ?? 0,
          largestBuffer: largest.bytes,
          differ: cut.rows.reduce((sum, row, i) => sum + bitsThatDiffer(row, whole.rows[i]!), 0),
          logits: cut.rows.reduce((sum, { ids }) => sum + ids.length, 0),
        }
      })
    },

    /** The canary as a tab runs it; `isExact` of its result, and what it takes by the count that donors plan with. */
    canary({
      format,
      kv = 'f32',
      ...chosen
    }: ModelOptions): Promise<{ exact: boolean; taken: number; planned: number; ms: number }> {
      return checked(async (found) => {
        const count = new BufferCount(found)
        const started = performance.now()
        const weights = SpanWeights.create(found, CANARY, CANARY_SPAN, format)
        await putCanary(weights)
        const options = { cacheTokens: CANARY_CACHE_TOKENS, choice: choiceOf(chosen), kv }
        const runner = await createSpanRunner(found, CANARY, weights, options)
        const { exact } = await runCanary(runner, format, kv)
        await runner.dispose()
        const ms = performance.now() - started
        count.stop()
        const sizes = { cacheTokens: CANARY_CACHE_TOKENS, kv, maxRows: ENGINE_MAX_ROWS }
        return { exact, taken: count.takeMost(), planned: spanBytes(CANARY, CANARY_SPAN, format, sizes).total, ms }
      })
    },

    /**
     * Starts one after another on one browser's storage: the notes that each wrote, what each chose, and bits of its logits that are
     * not those of the default. The third finds what a person of another machine may have kept.
     */
    tunedStarts(
      name: string,
      format: WeightFormat,
    ): Promise<{ notes: string[]; isTuned: boolean; choice: KernelChoice; differ: number }[]> {
      return checked(async (found) => {
        const model = await readModel(read, fixtureFolder(name))
        const span = { start: 0, end: model.config.numHiddenLayers }
        const store = new DonorStore().choices
        let keptUnder = ''
        const watched: ChoiceStore = {
          get: (key) => store.get(key),
          set: (key, choice) => {
            keptUnder = key
            return store.set(key, choice)
          },
        }
        const start = async (tuning: TuningOptions | null): Promise<{ choice: KernelChoice; rows: LogitsRow[] }> => {
          const weights = await loadWeights(found, model, span, format)
          const runner = await createSpanRunner(found, model.config, weights, { cacheTokens: 200, tuning })
          const chain = new Chain(model.config, [runner])
          const session = await chain.open(16)
          const rows = [await session.step([1, 2, 3, 4, 5, 6, 7, 8, 9]), await session.step([10])]
          await chain.dispose()
          return { choice: runner.choice, rows }
        }
        const plain = await start(null)
        const results: { notes: string[]; isTuned: boolean; choice: KernelChoice; differ: number }[] = []
        for (const kept of [
          null,
          null,
          { matMul: 'threads', blockKernels: 'fused', matVecWorkgroup: 128, matMulWorkgroup: 32 } as const,
        ]) {
          if (kept !== null) await store.set(keptUnder, kept)
          const notes: string[] = []
          let isTuned = false
          const tuning = {
            store: watched,
            chosen: new Map(),
            again: false,
            onNote: (text: string) => notes.push(text),
            onTuned: () => {
              isTuned = true
            },
          }
          const { choice, rows } = await start(tuning)
          const differ = rows.reduce((sum, row, i) => sum + bitsThatDiffer(row, plain.rows[i]!), 0)
          results.push({ notes, isTuned, choice, differ })
        }
        return results
      })
    },

    /** The runner's rules on sessions, positions, budgets and bad input; one line for each that is broken. */
    rules(): Promise<string[]> {
      return checked(async (found) => {
        const make: MakeChain = (model, cacheTokens) =>
          Chain.create(found, model, { format: 'f32', cacheTokens, cuts: [] })
        return runnerRules(make, await readModel(read, fixtureFolder('untied-bf16-sharded')))
      })
    },

    /** Those of a shared prefix. */
    prefixRules({ format, variant, kv = 'f32' }: ModelOptions): Promise<string[]> {
      return checked(async (found) => {
        const make: MakeChain = (model, cacheTokens) =>
          Chain.create(found, model, { format, kv, choice: { matMul: variant }, cacheTokens, cuts: [] })
        return prefixRules(make, await readModel(read, fixtureFolder('odd-sizes-f32')))
      })
    },

    /** Sessions batched at random against each alone, on a small model. */
    interleavings({ format, kv = 'f32', ...chosen }: ModelOptions, tokens: number): Promise<InterleavingResult> {
      return checked(async (found) => {
        const model = await readModel(read, fixtureFolder('group3-bf16'))
        const chain = await Chain.create(found, model, {
          format,
          kv,
          choice: choiceOf(chosen),
          cacheTokens: 240,
          cuts: [],
        })
        const { vocabSize } = model.config
        const options = { sessions: 5, tokens, vocabSize, random: seededRandom(7) }
        const result = await randomInterleavings(chain.runners[0]!, options)
        await chain.dispose()
        return result
      })
    },

    /** A model's steps of few rows, fused against separate: see `fused-lab.ts`. */
    fused(name: string, { format, kv = 'f32', ...chosen }: ModelOptions): Promise<FusedResult> {
      return checked(async (found) => {
        const model = await readModel(read, fixtureFolder(name))
        return fusedAgainstSeparate(found, model, { format, kv, choice: choiceOf(chosen) })
      })
    },

    /** Others' tokens while a prefill of several chunks runs. */
    duringAPrefill({ format, variant }: ModelOptions): ReturnType<typeof duringAPrefill> {
      return checked(async (found) => {
        const model = await readModel(read, fixtureFolder('group3-bf16'))
        const chain = await Chain.create(found, model, {
          format,
          choice: { matMul: variant },
          cacheTokens: 320,
          cuts: [],
        })
        const result = await duringAPrefill(chain.runners[0]!)
        await chain.dispose()
        return result
      })
    },

    /** How a step under way ends when the device goes: its error code. Leaves a fresh device for the next call. */
    async loss(how: 'device' | 'dispose'): Promise<string> {
      const found = await gpu()
      const model = await readModel(read, fixtureFolder('blocks32-bf16-sharded'))
      const chain = await Chain.create(found, model, { format: 'f32', cacheTokens: 256, cuts: [] })
      const session = await chain.open(256)
      const step = session.step(Array.from({ length: 250 }, (_, i) => i)).then(
        () => 'finished',
        (error: unknown) => (error as { code?: string }).code ?? String(error),
      )
      if (how === 'device') {
        found.device.destroy()
        opened = null
      } else {
        await chain.dispose()
      }
      return step
    },
  }
}

function choiceOf({ variant, workgroup, blockKernels }: Omit<ModelOptions, 'format' | 'kv'>): Partial<KernelChoice> {
  return {
    matMul: variant,
    ...(workgroup === undefined ? {} : { matVecWorkgroup: workgroup, matMulWorkgroup: workgroup }),
    ...(blockKernels === undefined ? {} : { blockKernels }),
  }
}

/** Logits of a prefill of eight tokens and of a step of one. */
async function bothSteps(
  found: Gpu,
  model: ModelFiles,
  format: WeightFormat,
  blockKernels: BlockKernels = 'separate',
): Promise<{ rows: LogitsRow[]; weights: SpanWeights }> {
  const span = { start: 0, end: model.config.numHiddenLayers }
  const weights = await loadWeights(found, model, span, format)
  const options = { cacheTokens: 16, choice: { blockKernels } }
  const chain = new Chain(model.config, [await createSpanRunner(found, model.config, weights, options)])
  const session = await chain.open(16)
  const rows = [await session.step([1, 2, 3, 4, 5, 6, 7, 8]), await session.step([9])]
  await chain.dispose()
  return { rows, weights }
}

function withLimits(found: Gpu, changed: Partial<Record<keyof GPUSupportedLimits, number>>): Gpu {
  const limits: Record<string, unknown> = {}
  // Getters of its prototype: a spread would copy none.
  for (const name in found.limits) limits[name] = found.limits[name as keyof GPUSupportedLimits]
  return { ...found, limits: { ...limits, ...changed } as unknown as GPUSupportedLimits }
}

/** Watches the device's storage buffers. */
function largestStorage({ device }: Gpu): { bytes: number; stop(): void } {
  const create = device.createBuffer.bind(device)
  const watch = { bytes: 0, stop: () => void (device.createBuffer = create) }
  device.createBuffer = (descriptor) => {
    if ((descriptor.usage & GPUBufferUsage.STORAGE) !== 0) watch.bytes = Math.max(watch.bytes, descriptor.size)
    return create(descriptor)
  }
  return watch
}

export type Lab = ReturnType<typeof createLab>

/** Logits of all positions by the plain reference on the weights as the format stores them, `[T, vocabSize]`. */
async function plainLogits(
  model: ModelFiles,
  name: string,
  ids: readonly number[],
  format: WeightFormat,
): Promise<Float32Array> {
  const { config } = model
  const span = { start: 0, end: config.numHiddenLayers }
  const frequencies = fixtureFrequencies(config, name)
  const runner = createReferenceRunner(config, inFormat(model, format), span, { cacheTokens: ids.length, frequencies })
  const session = 'f'.repeat(32)
  await runner.openSession({ session, span, maxTokens: ids.length })
  const out = new Float32Array(ids.length * config.vocabSize)
  for (const [position, id] of ids.entries()) {
    const step = { session, position, rows: 1, tokens: Uint32Array.of(id), logits: { topK: 0 } }
    out.set(byId(ok((await runner.step([step]))[0]).logits!), position * config.vocabSize)
  }
  return out
}

interface TrainedReference {
  input_ids: number[]
  greedy: number[]
  steps_before_a_near_tie?: number
}

export interface TrainedResult {
  promptDelta: number
  /** For each reference id in turn, how far its logit lies behind our best one (0: it is ours). */
  behindBest: number[]
  /** How many of them must be exact. */
  exactSteps: number
  /** Milliseconds a decode step. */
  decodeMs: number
}
