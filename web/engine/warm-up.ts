/**
 * What is measured on a span before it has sessions: which kernels are the fastest here (where nothing is kept of an earlier start), and
 * how long a block takes with them.
 */
import { describeError } from '../../swarm/errors.ts'
import type { KvFormat, LlamaConfig, WeightFormat } from '../../swarm/model/config.ts'
import { ATTENTION_SPLIT } from '../../swarm/model/span-bytes.ts'
import { spanLength, type Span } from '../../swarm/span.ts'
import type { Gpu } from '../gpu/device.ts'
import {
  BLOCK_KERNELS,
  defaultChoice,
  variantsLike,
  workgroupsOf,
  type KernelChoice,
} from '../gpu/kernels/kernel-choice.ts'
import { kernelVersion } from '../gpu/kernels/kernel-set.ts'
import { choiceText, tune, type Stage, type Trial, type Tuned } from './autotune.ts'
import type { Forward } from './forward.ts'
import { choiceKey, readChoice } from './kept-choice.ts'
import type { KvBudget } from './kv-cache.ts'
import { SpanProbe } from './span-probe.ts'
import { TILE_ROWS, type CostSample } from './submit-pacer.ts'

/** Where a block is timed a second time: what attention costs grows with what it looks back at. */
const FAR_CONTEXT = 1024
/** Blocks that the timing of kernels goes through one after another, so that weights come from memory as they do in a step. */
const TUNED_BLOCKS = { software: 2, gpu: 8 }
/** Compiling included. */
const TUNE_BUDGET_MS = 2_000
/** Past one split of attention. */
const TUNED_CONTEXT = ATTENTION_SPLIT + 32

export interface WarmUp {
  gpu: Gpu
  forward: Forward
  config: LlamaConfig
  budget: KvBudget
  span: Span
}

/** What is kept of autotunes, by key. Both may reject: it is then measured again at the next start. */
export interface ChoiceStore {
  get(key: string): Promise<unknown>
  set(key: string, choice: KernelChoice): Promise<void>
}

export interface TuningOptions {
  store: ChoiceStore
  /** Of this visit: a second span of the same model is not timed again, also where nothing can be kept. */
  chosen: Map<string, KernelChoice>
  /** What is kept does not count. */
  again: boolean
  /** What was chosen, and in how long. */
  onNote: (text: string) => void
  /** Kernels were timed and chosen just now: what was measured with others does not hold. */
  onTuned?: () => void
}

/** Times one block, so that the first person's prefill is cut as this adapter needs it and the first token not at all. */
export async function calibrate({ forward, config, budget, span }: WarmUp): Promise<void> {
  const tokens = Math.min(FAR_CONTEXT, config.maxPositionEmbeddings, budget.tokensLeft(0))
  if (tokens < 2 * TILE_ROWS) return
  const first = { start: span.start, end: span.start + 1 }
  const probe = await SpanProbe.open({ forward, config, budget, span: first, tokens })
  const sample = async (rows: number): Promise<CostSample> => {
    // The first run of a kernel pays for what drivers put off until then.
    await probe.time(rows, 0)
    const ms = await probe.time(rows, 0)
    const context = tokens - rows
    return { near: { context: 0, ms }, far: { context, ms: await probe.time(rows, context) } }
  }
  try {
    forward.calibrate(await sample(1), await sample(TILE_ROWS))
  } finally {
    probe.close()
  }
}

/** The choice that the span runs by from then on. @throws SwarmError OUT_OF_MEMORY */
export async function chooseKernels(
  warmUp: WarmUp,
  formats: { format: WeightFormat; kv: KvFormat },
  { store, chosen, again, onNote, onTuned }: TuningOptions,
): Promise<KernelChoice> {
  const { gpu, forward, config } = warmUp
  const key = choiceKey({ gpu, config, ...formats, version: kernelVersion(formats.format, formats.kv) })
  const known = chosen.get(key) ?? (again ? null : await keptChoice(store, key, gpu, onNote))
  if (known !== null) {
    await forward.use(known)
    return known
  }
  const tuned = await tuneSpan(warmUp)
  const first = defaultChoice(gpu)
  if (tuned === null) return first
  chosen.set(key, tuned.choice)
  onTuned?.()
  onNote(tunedLine(tuned, first))
  try {
    await store.set(key, tuned.choice)
  } catch (error) {
    onNote(`The chosen kernels could not be kept (${describeError(error)}).`)
  }
  return tuned.choice
}

async function keptChoice(
  store: ChoiceStore,
  key: string,
  gpu: Gpu,
  onNote: (text: string) => void,
): Promise<KernelChoice | null> {
  try {
    return readChoice(await store.get(key), gpu)
  } catch (error) {
    onNote(`The kept choice of kernels could not be read (${describeError(error)}); they are timed again.`)
    return null
  }
}

/** Null: the cache is too small to run anything in. */
async function tuneSpan({ gpu, forward, config, budget, span }: WarmUp): Promise<Tuned | null> {
  const tokens = Math.min(TUNED_CONTEXT, config.maxPositionEmbeddings, budget.tokensLeft(0))
  if (tokens < 2 * TILE_ROWS) return null
  const blocks = Math.min(spanLength(span), gpu.software ? TUNED_BLOCKS.software : TUNED_BLOCKS.gpu)
  const some = { start: span.start, end: span.start + blocks }
  const probe = await SpanProbe.open({ forward, config, budget, span: some, tokens })
  const trial: Trial = {
    use: (choice) => forward.use(choice),
    outcome: async () => {
      // A tile and a rest, a few rows, and one row: each kernel that rows come to.
      const runs = [
        await probe.outcome(TILE_ROWS + 3, 0),
        await probe.outcome(3, TILE_ROWS + 3),
        await probe.outcome(1, tokens - 1),
      ]
      return Float32Array.from(runs.flatMap((run) => [...run]))
    },
    time: (rows) => probe.time(rows, tokens - rows),
  }
  try {
    return await tune(trial, defaultChoice(gpu), stagesFor(gpu), {
      now: () => performance.now(),
      budgetMs: TUNE_BUDGET_MS,
    })
  } finally {
    probe.close()
  }
}

function stagesFor(gpu: Gpu): Stage[] {
  const others = <T>(all: readonly T[], one: T): T[] => all.filter((each) => each !== one)
  return [
    {
      rows: 1,
      candidates: (holds) => [
        ...others(workgroupsOf(holds.matMul, gpu), holds.matVecWorkgroup).map((size) => ({
          ...holds,
          matVecWorkgroup: size,
        })),
        // Last: compiling the fused ones takes a software adapter, which has not much of them, longer than all the sizes.
        ...others(BLOCK_KERNELS, holds.blockKernels).map((blockKernels) => ({ ...holds, blockKernels })),
      ],
    },
    {
      rows: TILE_ROWS,
      candidates: (holds) => [
        ...others(variantsLike(holds.matMul, gpu), holds.matMul).map((matMul) => ({ ...holds, matMul })),
        ...others(workgroupsOf(holds.matMul, gpu), holds.matMulWorkgroup).map((size) => ({
          ...holds,
          matMulWorkgroup: size,
        })),
      ],
    },
  ]
}

function tunedLine({ choice, ms, timed, refused, isComplete }: Tuned, first: KernelChoice): string {
  const isFirst = Object.entries(first).every(([name, value]) => choice[name as keyof KernelChoice] === value)
  const what = isFirst ? `the ones for this kind of adapter stay (${choiceText(first)})` : choiceText(choice)
  const rest = isComplete ? '' : '; not all were timed, because this adapter takes long'
  const out = refused.length === 0 ? '' : `; left out: ${refused.join('; ')}`
  return `Kernels chosen in ${(ms / 1000).toFixed(1)} s, ${timed} others timed: ${what}${rest}${out}.`
}
