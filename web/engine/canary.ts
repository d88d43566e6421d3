/**
 * A tiny model with a known answer, run on the adapter at hand after every load: drivers and browsers have computed wrongly without an
 * error, and a tab that does would send gibberish into every answer. The same run tells whether rows keep their bits however a step
 * cuts them. Knows no backend: weights and runner are made by the caller. The answers are those of the plain f64 reference on the
 * weights as each format stores them; `tests/unit/web/engine/canary.test.ts` computes them again.
 */
import { SwarmError, fromPlainError } from '../../swarm/errors.ts'
import type { KvFormat, LlamaConfig, WeightFormat } from '../../swarm/model/config.ts'
import { spanTensors, tensorElements, type TensorSink, type TensorSpec } from '../../swarm/model/tensors.ts'
import type { SpanRunner } from '../../swarm/span-runner.ts'

export const CANARY: LlamaConfig = {
  hiddenSize: 64,
  intermediateSize: 96,
  numHiddenLayers: 1,
  numAttentionHeads: 4,
  numKeyValueHeads: 2,
  headDim: 16,
  vocabSize: 32,
  maxPositionEmbeddings: 64,
  rmsNormEps: 1e-5,
  ropeTheta: 10_000,
  ropeScaling: null,
  attentionBias: false,
  mlpBias: false,
  tieWordEmbeddings: false,
  bosTokenId: null,
  eosTokenIds: [],
  dtype: null,
}
export const CANARY_SPAN = { start: 0, end: 1 }
/** One more than a tile of rows, so that prefill has a whole one and a rest. */
export const CANARY_TOKENS = [3, 14, 15, 9, 26, 5, 31, 0, 7]
/** KV tokens for the three sessions, one after another. */
export const CANARY_CACHE_TOKENS = 16

/** Logits of ids 0, 1, … after the last token. */
export const CANARY_ANSWERS: Readonly<Record<WeightFormat, readonly number[]>> = {
  f32: [
    -1.313142, 0.756433, 0.01948317, -2.001641, -1.096948, -0.2771617, -2.058799, 1.281059, 1.292017, 3.050935,
    0.9552259, -1.120498, 1.52695, -2.213709, 0.9884546, -1.331774, 0.3062228, 0.9528853, -0.1143653, 2.386918,
    0.4468798, -1.154613, 0.2671627, 0.6924613, -1.806556, -1.772068, 1.083069, -0.2454034, 1.533272, -0.2064552,
    1.44403, 1.328008,
  ],
  f16: [
    -1.313142, 0.756433, 0.01948317, -2.001641, -1.096948, -0.2771617, -2.058799, 1.281059, 1.292017, 3.050935,
    0.9552259, -1.120498, 1.52695, -2.213709, 0.9884546, -1.331774, 0.3062228, 0.9528853, -0.1143653, 2.386918,
    0.4468798, -1.154613, 0.2671627, 0.6924613, -1.806556, -1.772068, 1.083069, -0.2454034, 1.533272, -0.2064552,
    1.44403, 1.328008,
  ],
  int8: [
    -1.316172, 0.7729831, 0.02161036, -2.01079, -1.091878, -0.288736, -2.047032, 1.307005, 1.278211, 3.05858, 0.9244997,
    -1.121056, 1.537631, -2.232229, 0.9839975, -1.32968, 0.2907621, 0.964325, -0.1189447, 2.385032, 0.4391027,
    -1.143817, 0.2707742, 0.7092918, -1.816841, -1.768743, 1.076812, -0.2375598, 1.545331, -0.2096361, 1.42581,
    1.318459,
  ],
  int4: [
    -0.8578672, 0.9496344, 0.2906419, -2.147104, -1.119671, -0.1623709, -2.136585, 1.088555, 1.052575, 3.180199,
    0.8151432, -1.158265, 1.38607, -2.337137, 0.642637, -1.275715, 0.5098428, 0.8306726, -0.2013789, 2.348738,
    0.1684744, -1.013165, 0.2770621, 0.619577, -1.659981, -1.501551, 1.081986, -0.1600964, 1.373434, 0.01878522,
    1.156958, 1.599825,
  ],
}
/** f32 sums in another order differ by some 1e-6 here; a wrong kernel by the size of a logit, about 1. */
const TOLERANCE = 1e-3
/** Keys and values rounded to halves. */
const F16_KV_TOLERANCE = 1e-2

const SESSION = 'c'.repeat(32)

export async function putCanary(sink: TensorSink): Promise<void> {
  for (const spec of spanTensors(CANARY, CANARY_SPAN)) {
    await sink.put(spec, 'F32', new Uint8Array(canaryTensor(spec).buffer), 0)
  }
}

/** Norms in [0.5, 1.5), matrices in [-0.25, 0.25); multiples of 2⁻¹², so that nobody's rounding has a say. */
export function canaryTensor({ kind, shape, name }: TensorSpec): Float32Array<ArrayBuffer> {
  let state = name.length * 2_654_435 + name.charCodeAt(name.length - 10)
  return Float32Array.from({ length: tensorElements({ kind, shape, name, block: 0 }) }, () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    const fraction = (state >>> 20) / 4096
    return kind === 'vector' ? fraction + 0.5 : (fraction - 0.5) / 2
  })
}

export interface CanaryResult {
  /** Rows run one by one, at once and in two chunks came out the same, to the bit. */
  exact: boolean
}

/** `runner`: of the canary's weights in `format`. @throws SwarmError WRONG_RESULTS, and what the runner throws */
export async function runCanary(runner: SpanRunner, format: WeightFormat, kv: KvFormat = 'f32'): Promise<CanaryResult> {
  const T = CANARY_TOKENS.length
  const one = await lastLogits(
    runner,
    Array.from({ length: T }, () => 1),
  )
  const runs = [one, await lastLogits(runner, [T]), await lastLogits(runner, [4, T - 4])]
  for (const [i, logits] of runs.entries()) {
    const how = ['row by row', 'at once', 'in two chunks'][i] as string
    for (const [id, expected] of CANARY_ANSWERS[format].entries()) {
      const found = logits[id] ?? NaN
      if (Math.abs(found - expected) <= (kv === 'f16' ? F16_KV_TOLERANCE : TOLERANCE)) continue
      throw new SwarmError(
        'WRONG_RESULTS',
        `this device computes wrongly: a test block in ${format}, run ${how}, gave ${found} where ${expected} is right`,
        { action: 'Update the graphics driver or the browser, or start the tab with --backend wasm.' },
      )
    }
  }
  return { exact: runs.every((logits) => logits.every((value, id) => Object.is(value, one[id]))) }
}

/** All logits, by id, after the tokens in chunks of so many rows. */
async function lastLogits(runner: SpanRunner, chunks: readonly number[]): Promise<Float32Array> {
  await runner.openSession({ session: SESSION, span: CANARY_SPAN, maxTokens: CANARY_TOKENS.length })
  try {
    const logits = new Float32Array(CANARY.vocabSize).fill(NaN)
    let position = 0
    for (const rows of chunks) {
      const tokens = Uint32Array.from(CANARY_TOKENS.slice(position, position + rows))
      const step = { session: SESSION, position, rows, tokens, logits: { topK: 0 } }
      const [output] = await runner.step([step])
      if (output !== undefined && 'error' in output) throw fromPlainError(output.error)
      output?.logits?.ids.forEach((id, i) => (logits[id] = output.logits?.values[i] ?? NaN))
      position += rows
    }
    return logits
  } finally {
    await runner.closeSession(SESSION)
  }
}
