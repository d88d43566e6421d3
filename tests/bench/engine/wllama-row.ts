/** The whole model in our WebAssembly engine and in llama.cpp's, each asked for one token after the other. */
import type { LogitsRow, SpanRunner, StepInput } from '../../../swarm/span-runner.ts'
import { logSumExp, topK } from '../../reference/ops.ts'
import { ok } from '../../support/span-chain.ts'
import { STRICT, THREADS } from './ours.ts'
import { RandomLlama, WHOLE, type WholeFormat } from './random-llama.ts'
import { rowOf, type BenchRow, type Samples } from './timing.ts'
import { WllamaModel } from './wllama.ts'

const CONTEXT = 128
const TOKENS_A_TURN = 8
const TURNS = 9
const MAX_TOKENS = 256
const CHECKED_PROMPT = 5
const CHECKED_TOKENS = 3
const CHECKED_BEST = 64
/** Of a logarithm of a probability, relative to the largest logit. llama.cpp rounds activations to eight bits. */
const TOLERANCE = { ours: 1e-3, wllama: 5e-2 }
const SESSION = '0'.repeat(32)

export async function againstWllama(id: string, format: WholeFormat): Promise<BenchRow> {
  const model = new RandomLlama(format)
  const wllama = await WllamaModel.load(model.gguf(), THREADS, MAX_TOKENS)
  const ours = await OurModel.create(model)
  await check(model, ours, wllama)

  const prompt = randomTokens(CONTEXT, 5)
  await ours.feed(prompt, 0)
  const samples: Samples = { a: [], b: [] }
  for (let turn = -1; turn < TURNS; turn += 1) {
    const a = await ours.decodeMs(CONTEXT, TOKENS_A_TURN)
    const b = await wllama.decodeMs(prompt, TOKENS_A_TURN)
    if (turn < 0) continue
    samples.a.push(a)
    samples.b.push(b)
  }
  await ours.dispose()
  await wllama.release()
  return rowOf(id, samples, ['ours', 'wllama'])
}

class OurModel {
  readonly #runner: SpanRunner
  #length = 0

  private constructor(runner: SpanRunner) {
    this.#runner = runner
  }

  static async create(model: RandomLlama): Promise<OurModel> {
    const span = { start: 0, end: WHOLE.numHiddenLayers }
    // Loaded here, because only a browser has such Workers.
    const { openWasmCompute } = await import('../../../web/donor/wasm-compute.ts')
    const compute = await openWasmCompute('asked', THREADS)
    const weights = await compute.createWeights(WHOLE, span, model.format)
    await model.put(weights)
    const runner = await compute.createRunner(
      WHOLE,
      weights,
      { cacheTokens: MAX_TOKENS, kv: 'f32', autotune: 'off' },
      STRICT,
    )
    await runner.openSession({ session: SESSION, span, maxTokens: MAX_TOKENS })
    return new OurModel(runner)
  }

  /** The best logits behind the last of `tokens`. */
  async feed(tokens: readonly number[], position: number, best = 1): Promise<LogitsRow> {
    if (this.#length !== position) await this.#runner.truncateSession(SESSION, position)
    const step: StepInput = {
      session: SESSION,
      position,
      rows: tokens.length,
      tokens: Uint32Array.from(tokens),
      logits: { topK: best },
    }
    const [output] = await this.#runner.step([step])
    this.#length = position + tokens.length
    return ok(output!).logits!
  }

  /** Milliseconds a token, each the best behind the one before. */
  async decodeMs(position: number, count: number): Promise<number> {
    let token = 1
    const started = performance.now()
    for (let i = 0; i < count; i += 1) token = (await this.feed([token], position + i)).ids[0]!
    return (performance.now() - started) / count
  }

  dispose(): Promise<void> {
    return this.#runner.dispose()
  }
}

/** The best probabilities behind a prompt and behind two decoded tokens, both sides against the reference. */
async function check(model: RandomLlama, ours: OurModel, wllama: WllamaModel): Promise<void> {
  const prompt = randomTokens(CHECKED_PROMPT, 9)
  const generated = await wllama.generate(prompt, CHECKED_TOKENS, CHECKED_BEST)
  const tokens = [...prompt, ...generated.map(({ id }) => id)].slice(0, -1)
  const reference = model.reference(tokens, CHECKED_PROMPT - 1)
  for (const [i, logits] of reference.entries()) {
    const [position, given] = i === 0 ? [0, prompt] : [CHECKED_PROMPT + i - 1, [tokens[CHECKED_PROMPT + i - 1]!]]
    const found = await ours.feed(given, position, CHECKED_BEST)
    const own = Array.from(found.ids, (id, j): [number, number] => [id, found.values[j]! - found.logSumExp])
    expectBest(`ours ${model.format}, token ${i}`, new Map(own), logits, TOLERANCE.ours)
    expectBest(`wllama ${model.format}, token ${i}`, generated[i]!.best, logits, TOLERANCE.wllama)
  }
}

function expectBest(what: string, found: ReadonlyMap<number, number>, logits: Float64Array, tolerance: number): void {
  const total = logSumExp(logits)
  const [best] = topK(logits, 1)
  const most = tolerance * Math.abs(logits[best!]!)
  if (found.size !== CHECKED_BEST) throw new Error(`${what}: ${found.size} probabilities, not ${CHECKED_BEST}`)
  for (const [id, logprob] of found) {
    const wanted = logits[id]! - total
    if (Math.abs(logprob - wanted) <= most) continue
    throw new Error(`${what}: token ${id} has ${logprob}, the reference says ${wanted} (within ${most.toFixed(3)})`)
  }
}

function randomTokens(count: number, seed: number): number[] {
  return Array.from({ length: count }, (_, i) => ((i + 1) * 7919 * seed + 31) % WHOLE.vocabSize)
}
