/** What of @wllama/wllama is used here: llama.cpp's server in a Worker of its own, asked by text. */
import { tokenText } from './random-llama.ts'

interface Logprob {
  id: number
  logprob: number
}
interface Completion {
  choices: { text: string; logprobs?: { content: (Logprob & { top_logprobs: Logprob[] })[] } | null }[]
  usage: { prompt_tokens: number }
  timings: { predicted_n: number; predicted_ms: number }
}
interface Wllama {
  loadModel(files: Blob[], options: Record<string, unknown>): Promise<void>
  createCompletion(options: Record<string, unknown>): Promise<Completion>
  isMultithread(): boolean
  getNumThreads(): number
  exit(): Promise<void>
}
interface WllamaModule {
  Wllama: new (paths: { default: string }, options: Record<string, unknown>) => Wllama
}

const ESM = '/tests/bench/engine/node_modules/@wllama/wllama/esm/'
/** Nothing is drawn, and no end token ends it. */
const GREEDY = { temperature: 0, samplers: ['top_k'], top_k: 1, ignore_eos: true }

/** A generated token and the best logarithms of probabilities at its place, by token. */
export interface Generated {
  id: number
  best: ReadonlyMap<number, number>
}

export class WllamaModel {
  readonly #wllama: Wllama

  private constructor(wllama: Wllama) {
    this.#wllama = wllama
  }

  /** As a page would: its own choices of everything but threads, on the processor. */
  static async load(model: Blob, threads: number, maxTokens: number): Promise<WllamaModel> {
    const { Wllama } = (await import(/* @vite-ignore */ `${ESM}index.js`)) as WllamaModule
    const wasm = new URL(`${ESM}wasm/wllama.wasm`, location.origin).href
    const wllama = new Wllama({ default: wasm }, { suppressNativeLog: true })
    await wllama.loadModel([model], { n_threads: threads, n_ctx: maxTokens, n_gpu_layers: 0, n_parallel: 1 })
    if (!wllama.isMultithread() || wllama.getNumThreads() !== threads) {
      throw new Error(`wllama runs ${wllama.getNumThreads()} threads, not ${threads}`)
    }
    return new WllamaModel(wllama)
  }

  async generate(prompt: readonly number[], count: number, best: number): Promise<Generated[]> {
    const found = await this.#complete(prompt, { max_tokens: count, logprobs: best })
    return found.choices[0]!.logprobs!.content.map(({ id, top_logprobs: top }) => {
      return { id, best: new Map(top.map((one) => [one.id, one.logprob])) }
    })
  }

  /** Milliseconds a token by its own clock, which starts when the prompt's end has given the first one. */
  async decodeMs(prompt: readonly number[], count: number): Promise<number> {
    const { timings } = await this.#complete(prompt, { max_tokens: count + 1 })
    if (timings.predicted_n !== count + 1) throw new Error(`wllama made ${timings.predicted_n} tokens of ${count + 1}`)
    return timings.predicted_ms / count
  }

  release(): Promise<void> {
    return this.#wllama.exit()
  }

  async #complete(prompt: readonly number[], options: Record<string, unknown>): Promise<Completion> {
    const found = await this.#wllama.createCompletion({ prompt: tokenText(prompt), ...GREEDY, ...options })
    if (found.usage.prompt_tokens !== prompt.length) {
      throw new Error(`wllama took the text of ${prompt.length} tokens for ${found.usage.prompt_tokens}`)
    }
    return found
  }
}
