/**
 * One answer as it grows: its token ids, its text, and when it is finished. Tokens are only ever appended; index i is
 * decided once, whatever happens to the route. `ids` include the end token, the text does not; stop sequences are cut
 * from the text.
 */
import { toPlainError, type SwarmError } from '../swarm/errors.ts'
import { Speculation, type DraftTokens } from './speculate.ts'
import { StopText } from './stop-text.ts'
import type { DecodeStream, FinishReason, GenerateEvent, GenerateRequest, PromptModel, ServedHop } from './types.ts'

export interface RouteSummary {
  hops: readonly ServedHop[]
  weights: string
  backend: string
}

export class Answer {
  /** Prompt and answer: what the hops run. */
  readonly ids: number[]
  /** For the repetition penalty. */
  readonly seen: Set<number>
  /** Prompt and answer never grow beyond this. */
  readonly maxLength: number
  finish: FinishReason | null = null
  failovers = 0
  reusedTokens = 0
  readonly speculation: Speculation
  readonly #model: PromptModel
  readonly #request: GenerateRequest
  readonly #now: () => number
  readonly #startedMs: number
  readonly #decoder: DecodeStream | null
  readonly #stop: StopText
  #text = ''
  #firstTokenMs: number | null = null
  #lastTokenMs = 0
  #timedTokens = 0

  constructor(model: PromptModel, request: GenerateRequest, now: () => number, draft?: DraftTokens) {
    this.#model = model
    this.#request = request
    this.#now = now
    this.#startedMs = now()
    this.#decoder = model.tokenizer?.stream() ?? null
    this.#stop = new StopText(request.stopSequences)
    this.speculation = new Speculation(request.speculate ?? 'off', draft)
    this.ids = [...request.promptIds]
    this.seen = new Set(this.ids)
    this.maxLength = Math.min(model.maxPositionEmbeddings, this.ids.length + request.maxTokens)
    for (const id of request.generatedIds ?? []) this.#append(id)
  }

  /** Number of tokens generated. */
  get length(): number {
    return this.ids.length - this.#request.promptIds.length
  }

  /** Appends the next token; sets `finish` when it is the last. */
  push(id: number): GenerateEvent {
    const index = this.length
    const text = this.#append(id)
    this.#lastTokenMs = this.#now()
    this.#firstTokenMs ??= this.#lastTokenMs
    this.#timedTokens += 1
    return { type: 'token', index, id, text }
  }

  /** `route`: the last one that worked on this answer. */
  end(route: RouteSummary, error: SwarmError | null): GenerateEvent {
    const first = this.#firstTokenMs
    const decodeMs = first === null ? 0 : this.#lastTokenMs - first
    const { report } = this.speculation
    return {
      type: 'end',
      finish: this.finish ?? 'error',
      ids: this.ids.slice(this.#request.promptIds.length),
      text: this.#text,
      route: route.hops,
      weights: route.weights,
      backend: route.backend,
      timings: {
        timeToFirstTokenMs: first === null ? 0 : first - this.#startedMs,
        totalMs: this.#now() - this.#startedMs,
        tokensPerSecond: decodeMs > 0 ? ((this.#timedTokens - 1) * 1000) / decodeMs : 0,
        promptTokens: this.#request.promptIds.length,
        reusedTokens: this.reusedTokens,
        generatedTokens: this.length,
        failovers: this.failovers,
        ...(report === null ? {} : { speculation: report }),
      },
      ...(error === null ? {} : { error: toPlainError(error) }),
    }
  }

  /** The text that may be shown with this token: with the last one, everything that was held back. */
  #append(id: number): string {
    this.ids.push(id)
    this.seen.add(id)
    const isEnd = !this.#request.ignoreEos && this.#model.eosTokenIds.includes(id)
    let text = isEnd || this.#decoder === null ? '' : this.#stop.push(this.#decoder.push(id))
    if (isEnd || this.#stop.stopped) this.finish = 'stop'
    else if (this.ids.length >= this.maxLength) this.finish = 'length'
    if (this.finish !== null && !this.#stop.stopped && this.#decoder !== null) {
      text += this.#stop.push(this.#decoder.flush())
      text += this.#stop.flush()
    }
    this.#text += text
    return text
  }
}
