/**
 * From prompt ids to an answer, token by token: the file to read first. One turn of a chat is one async generator:
 *
 *   route → prefill what the hops do not hold yet → logits → sample → token → run that token → logits → …
 *
 * Guesses at the tokens after that one may run with it (`speculate.ts`): their logits are used as far as they turn out right.
 *
 * Running "all ids that the hops do not hold" is the one operation: on a fresh session it is the prefill, within an
 * answer it is one decode step, on a replacement route it replays prompt and answer. So a lost hop needs no bookkeeping:
 * the same tokens run again, greedy text comes out the same, and a sampled token is drawn with the same number.
 * KV caches at the hops are disposable; only the token ids here count.
 */
import type { SwarmNode } from '../net/types.ts'
import { assert, SwarmError } from '../swarm/errors.ts'
import { MAX_TOP_K } from '../swarm/limits.ts'
import { spanLength } from '../swarm/span.ts'
import type { LogitsRow } from '../swarm/span-runner.ts'
import { Answer, type RouteSummary } from './answer.ts'
import { Bans } from './bans.ts'
import { BrokenRoute } from './broken-route.ts'
import { lineOf } from './choose-route.ts'
import { kindOf } from './peer-kind.ts'
import { checkSampling } from './model/defaults.ts'
import { checkPrompt } from './prompt.ts'
import type { PrefixNamer } from './prefix-names.ts'
import { blame, cancelled, connect, FIRST_ROUTE_GRACE_MS, isFault, type Connector } from './recover.ts'
import type { RouteSession } from './route-session.ts'
import { firstTopK, sampleToken } from './sampler.ts'
import { sharedLength } from './shared-length.ts'
import { checkSpeculate, type DraftTokens } from './speculate.ts'
import type { GenerateEvent, GenerateRequest, PromptModel, ServedHop } from './types.ts'

export interface ChatSessionOptions {
  /** Monotonic milliseconds (`performance.now`). */
  now: () => number
  /** Cryptographically random bytes (`crypto.getRandomValues`). */
  randomBytes: (length: number) => Uint8Array
  /**
   * KV cache, in tokens, to set aside at once so that later turns of the chat fit (at most the model's context). 0 for a
   * single prompt.
   */
  reserveTokens?: number
  /** Lets hops of different weight formats follow one another; without it an answer keeps to one. */
  mixWeights?: boolean
  /** What guesses at tokens ahead, for requests that want it; the text itself where it is left out. */
  draft?: DraftTokens
  /** One for all chats of a peer: hops then keep what begins alike, such as a system prompt, from chat to chat. */
  prefixes?: PrefixNamer
}

const DEFAULT_RESERVE_TOKENS = 2048
/** Peers that break the rules one after another at the same token: more of it helps nobody. */
const MAX_FAULTS_PER_TOKEN = 5

/** What one pass through the swarm brought. */
interface Lap {
  /** Logits after the last token, then after each guess. */
  rows: readonly LogitsRow[]
  drafts: readonly number[]
  ms: number
  isDecode: boolean
}

/** One chat: keeps the route and the KV caches between turns, and gives them up on `close`. One answer at a time. */
export class ChatSession {
  readonly #model: PromptModel
  readonly #options: ChatSessionOptions
  readonly #connector: Connector
  #route: RouteSession | null = null
  /** Lost a hop; a session that goes on with the rest is being looked for. */
  #broken: BrokenRoute | null = null
  #lastRoute: RouteSummary = { hops: [], weights: '', backend: '' }
  /** By block, of that route. */
  #lastKinds: readonly string[] | null = null
  /** Of the route, as its peers announce it. */
  #weights: string | null = null
  /** Whether its hops were chosen without regard to formats. */
  #mayMix = false
  #epoch = 0
  #turns = 0
  #isBusy = false
  /** Where the chunks of the lost session ended, and of those that stood in for it. */
  #chunkEnds: number[] = []
  /** A guess hung on logits that the hop did not send: they are asked for after that token alone. */
  #isAlone = false

  constructor(node: SwarmNode, model: PromptModel, options: ChatSessionOptions) {
    this.#model = model
    this.#options = options
    this.#connector = {
      node,
      model,
      bans: new Bans(),
      now: options.now,
      random: () => new DataView(options.randomBytes(4).slice().buffer).getUint32(0) / 2 ** 32,
      randomBytes: options.randomBytes,
      nextEpoch: () => (this.#epoch += 1),
      forwarded: new Set(),
      strangers: new Map(),
      prefixes: options.prefixes ?? null,
    }
  }

  /**
   * Yields events up to one `end`. A lost hop, or no route at all, is no end: the answer pauses and goes on by itself.
   * Cancelling (`request.signal`, or leaving the loop) frees the hops' caches.
   * @throws SwarmError before anything is sent: EMPTY_PROMPT, BAD_TOKEN_ID, PROMPT_TOO_LONG, CONTEXT_FULL, BAD_OPTION
   */
  async *generate(request: GenerateRequest): AsyncGenerator<GenerateEvent, void> {
    assert(!this.#isBusy, 'one answer at a time in a chat')
    checkPrompt(this.#model, request.promptIds, this.#turns > 0)
    checkSampling(request.sampling)
    checkMaxTokens(request.maxTokens)
    checkSpeculate(request.speculate ?? 'off')
    this.#isBusy = true
    this.#turns += 1
    const answer = new Answer(this.#model, request, this.#options.now, this.#options.draft)
    const stop = (): void => void this.#dropRoute()
    request.signal.addEventListener('abort', stop, { once: true })
    let failure: SwarmError | null = null
    try {
      yield* this.#run(answer, request)
    } catch (error) {
      if (!(error instanceof SwarmError)) throw error
      answer.finish = request.signal.aborted ? 'cancel' : 'error'
      failure = answer.finish === 'error' ? error : null
    } finally {
      request.signal.removeEventListener('abort', stop)
      // What the hops hold is known only after an answer that ended by itself.
      if (answer.finish !== 'stop' && answer.finish !== 'length') await this.#dropRoute()
      this.#isBusy = false
    }
    yield answer.end(this.#lastRoute, failure)
  }

  /** Ends the chat's sessions at the hops; resolves within half a second. */
  async close(): Promise<void> {
    await this.#dropRoute()
  }

  /** Until the answer is finished; a hop that takes a lost one's place runs again what that had run, or all hops do. */
  async *#run(answer: Answer, request: GenerateRequest): AsyncGenerator<GenerateEvent, void> {
    let faults = 0
    while (answer.finish === null) {
      try {
        const route = yield* this.#reachRoute(answer, request)
        while (answer.finish === null) {
          yield* this.#nextTokens(route, answer, request)
          faults = 0
        }
      } catch (error) {
        if (request.signal.aborted) throw cancelled()
        const silenceMs = error instanceof SwarmError ? (this.#route?.silenceMs(error.peerId ?? '') ?? 0) : 0
        if (!blame(this.#connector, error)) throw error
        if (isFault(error)) faults += 1
        if (faults > MAX_FAULTS_PER_TOKEN) throw error
        answer.failovers += 1
        this.#keepChunks()
        yield {
          type: 'lost',
          peerId: error.peerId ?? '',
          reason: error.message,
          afterMs: Math.round(silenceMs),
          ...(error.code === 'PEER_REFUSED' ? { handedOver: true } : {}),
        }
        // What a peer that broke the rules has sent may stand in what the others hold.
        if (this.#route === null || isFault(error)) await this.#dropRoute()
        else this.#breakRoute(this.#route, error.peerId ?? '')
      }
    }
  }

  /** The route of the turn before, cut back to what both turns share; or a new one. */
  async *#reachRoute(
    answer: Answer,
    { signal, mixWeights = this.#options.mixWeights ?? false }: GenerateRequest,
  ): AsyncGenerator<GenerateEvent, RouteSession> {
    const held = this.#route
    const fits = mixWeights || !this.#mayMix
    if (held !== null && held.error === null && held.maxTokens >= answer.maxLength && fits) {
      const shared = Math.min(sharedLength(held.tokens, answer.ids), answer.ids.length - 1)
      if (shared < held.tokens.length) await held.truncate(shared)
      answer.reusedTokens = shared
      yield { type: 'route', hops: held.hops, direct: held.direct, line: lineOf(this.#connector, held.hops) }
      return held
    }
    // Lost between two turns: not tried again at once. A session that a hop ended when it was idle is no fault.
    const error = held?.error
    if (error?.code === 'PEER_LOST' || error?.code === 'PEER_TIMEOUT') blame(this.#connector, error)
    if (held !== null) await this.#dropRoute()
    const isRecovery = answer.failovers > 0
    if (!isRecovery) this.#chunkEnds = []
    const wish = Math.max(answer.maxLength, this.#options.reserveTokens ?? DEFAULT_RESERVE_TOKENS)
    this.#route = yield* connect(this.#connector, {
      ids: answer.ids,
      needTokens: answer.maxLength,
      wishTokens: Math.min(this.#model.maxPositionEmbeddings, wish),
      weights: isRecovery ? this.#weights : null,
      kinds: isRecovery ? this.#lastKinds : null,
      mixWeights,
      signal,
      graceMs: isRecovery ? 0 : FIRST_ROUTE_GRACE_MS,
      isRecovery,
      broken: this.#broken,
    })
    this.#broken = null
    this.#mayMix = mixWeights
    answer.speculation.onNewRoute()
    const { hops, weights, backend, servedHops, tokens } = this.#route
    if (this.#route.gapTokens === 0) answer.reusedTokens = tokens.length
    this.#weights = this.#connector.node.directory.get(hops[0]?.peerId ?? '')?.weights ?? null
    this.#lastRoute = { hops: servedHops, weights, backend }
    this.#lastKinds = kindsByBlock(servedHops, (peerId) => this.#connector.node.directory.get(peerId)?.kv)
    return this.#route
  }

  /** One token at least; one for each guess before it that was right. */
  async *#nextTokens(
    route: RouteSession,
    answer: Answer,
    request: GenerateRequest,
  ): AsyncGenerator<GenerateEvent, void> {
    const { sampling } = request
    const { rows, drafts, ms, isDecode } = yield* this.#runLap(route, answer, request)
    this.#isAlone = false
    for (const hop of route.hops) this.#connector.bans.forgive(hop.peerId)
    const tokens: number[] = []
    for (const [i, row] of rows.entries()) {
      let sample = sampleToken(row, answer.seen, sampling, answer.length)
      // Only of the last row the hop has more. After any other the token is run once more, alone.
      while ('moreLogits' in sample && i === drafts.length) {
        sample = sampleToken(await route.moreLogits(sample.moreLogits), answer.seen, sampling, answer.length)
      }
      if (request.signal.aborted) throw cancelled()
      if ('moreLogits' in sample) {
        this.#isAlone = true
        break
      }
      tokens.push(sample.id)
      yield answer.push(sample.id)
      if (answer.finish !== null || sample.id !== drafts[i]) break
    }
    const accepted = tokens.filter((id, i) => id === drafts[i]).length
    answer.speculation.add({ drafted: drafts.length, accepted, ms }, isDecode)
  }

  async *#runLap(
    route: RouteSession,
    answer: Answer,
    { sampling }: GenerateRequest,
  ): AsyncGenerator<GenerateEvent, Lap> {
    const { now } = this.#options
    const topK = firstTopK(sampling)
    for await (const { done, total } of route.fillGaps(this.#isInexact(route) ? this.#chunkEnds : [])) {
      yield { type: 'prefill', done, total, reused: 0 }
    }
    // Guesses that were wrong, and a token that is run once more.
    if (route.tokens.length >= answer.ids.length) route.rewind(answer.ids.length - 1)
    const reused = route.tokens.length
    const total = answer.ids.length - reused
    const drafts = total === 1 ? this.#guess(route, answer, topK) : []
    const startedMs = now()
    if (drafts.length > 0) {
      const rows = await route.tryRows([...answer.ids.slice(-1), ...drafts], topK)
      return { rows, drafts, ms: now() - startedMs, isDecode: true }
    }
    if (total > 1) yield { type: 'prefill', done: 0, total, reused }
    const feed = route.feed(answer.ids, topK, this.#isInexact(route) ? this.#chunkEnds : [])
    let progress = await feed.next()
    while (progress.done !== true) {
      yield { type: 'prefill', done: progress.value.done, total, reused }
      progress = await feed.next()
    }
    const ms = now() - startedMs
    if (total > 1) yield { type: 'prefill', done: total, total, reused }
    return { rows: [progress.value], drafts, ms, isDecode: total === 1 }
  }

  /** Nothing where a row's logits would not be those of the row alone, or where whole rows are wanted. */
  #guess(route: RouteSession, answer: Answer, topK: number): readonly number[] {
    if (this.#isAlone || topK < 1 || topK > MAX_TOP_K || this.#isInexact(route)) return []
    const room = Math.min(route.maxTryRows, answer.maxLength - answer.ids.length) - 1
    return answer.speculation.next(answer.ids, room)
  }

  /** Of a replay that was lost itself, what it had not reached yet stays. */
  #keepChunks(): void {
    const ends = this.#route?.chunkEnds ?? []
    const reached = ends.at(-1) ?? 0
    this.#chunkEnds = [...ends, ...this.#chunkEnds.filter((end) => end > reached)]
  }

  /** Where rows change in their last bits with the steps they come in: a replay has to come in the same ones. */
  #isInexact(route: RouteSession): boolean {
    const { directory } = this.#connector.node
    return route.hops.some(({ peerId }) => directory.get(peerId)?.exact === false)
  }

  #breakRoute(route: RouteSession, peerId: string): void {
    this.#route = null
    this.#broken = new BrokenRoute(route)
    this.#broken.lose(peerId)
  }

  async #dropRoute(): Promise<void> {
    const [route, broken] = [this.#route, this.#broken]
    this.#route = null
    this.#broken = null
    await Promise.all([route?.close(), broken?.close()])
  }
}

function checkMaxTokens(maxTokens: number): void {
  if (Number.isInteger(maxTokens) && maxTokens >= 1) return
  throw new SwarmError('BAD_OPTION', `max tokens is ${maxTokens}; it must be a whole number from 1`, {
    action: 'Change max tokens.',
  })
}

/** null where there are none. `kvOf`: of a peer's record. */
function kindsByBlock(hops: readonly ServedHop[], kvOf: (peerId: string) => string | undefined): string[] | null {
  const kinds = hops.flatMap(({ peerId, span, backend }) => {
    const kv = kvOf(peerId)
    return Array<string>(spanLength(span)).fill(kindOf(kv === undefined ? { backend } : { backend, kv }))
  })
  return kinds.length === 0 ? null : kinds
}
