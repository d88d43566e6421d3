/**
 * One question to the swarm: input → ids → `ChatSession` → text as it streams, or one JSON object. What happens on the
 * way (waiting for blocks, a lost peer) is told as progress.
 */
import { randomBytes, randomInt } from 'node:crypto'
import { ChatSession } from '../../session/generate.ts'
import { samplingFor } from '../../session/model/defaults.ts'
import { preparePrompt, type PreparedPrompt, type PromptInput } from '../../session/prompt.ts'
import { DEFAULT_SPECULATE, readSpeculate } from '../../session/speculate.ts'
import type { GenerateEvent, PromptModel, SamplingOptions } from '../../session/types.ts'
import type { SwarmNode } from '../../net/types.ts'
import type { RouteHop } from '../../swarm/planner/types.ts'
import { formatSpan } from '../../swarm/span.ts'
import { errorSentence } from '../../swarm/errors.ts'
import type { Output } from '../output/console.ts'
import { parsePromptIds } from './ids.ts'

export interface AskOptions {
  prompt: string | undefined
  promptIds: string | undefined
  system: string | undefined
  raw: boolean
  maxTokens: number | undefined
  temperature: number | undefined
  topP: number | undefined
  topK: number | undefined
  repetitionPenalty: number | undefined
  seed: number | undefined
  stop: readonly string[]
  ignoreEos: boolean
  mixWeights: boolean
  speculate: string
  json: boolean
}

export type EndEvent = Extract<GenerateEvent, { type: 'end' }>

/** How a hop of the last route is reached, by us or by the hop before it. */
export type HopPath = 'direct' | 'relayed'
/** What is known of the last route. */
interface ShownRoute {
  paths: Map<string, HopPath>
  line: string
}

/** An answer without --max-tokens ends by itself or here. */
const DEFAULT_MAX_TOKENS = 512
/** Waiting shorter than this is not worth a line. */
const PAUSE_SHOWN_AFTER_MS = 1_500

/**
 * The prompt's ids, before anything is started for them.
 * @throws SwarmError what `preparePrompt` refuses
 */
export async function prepareQuestion(
  model: PromptModel,
  options: AskOptions,
  output: Output,
): Promise<PreparedPrompt> {
  const prepared = await preparePrompt(model, inputOf(options))
  if (prepared.form === 'raw' && !options.raw) {
    output.progress(`${model.id.repo} has no chat template: it is prompted raw.`)
  }
  return prepared
}

/**
 * Streams the answer to `output.answer`; a failed answer is an `end` event with its error, not a throw.
 * @throws SwarmError what `samplingFor` refuses
 */
export async function ask(
  node: SwarmNode,
  model: PromptModel,
  prepared: PreparedPrompt,
  options: AskOptions,
  output: Output,
  signal: AbortSignal,
): Promise<EndEvent> {
  // The seed is told, so that a sampled answer can be had again.
  const sampling = samplingFor(model, askedSampling(options), randomInt(2 ** 31))
  if (sampling.temperature > 0 && options.seed === undefined) output.progress(`Sampling with --seed ${sampling.seed}.`)
  const session = new ChatSession(node, model, {
    now: () => performance.now(),
    randomBytes: (length) => new Uint8Array(randomBytes(length)),
    // One question: no later turn needs room.
    reserveTokens: 0,
    mixWeights: options.mixWeights,
  })
  try {
    const events = session.generate({
      promptIds: prepared.ids,
      maxTokens: options.maxTokens ?? DEFAULT_MAX_TOKENS,
      sampling,
      stopSequences: options.stop,
      ignoreEos: options.ignoreEos,
      signal,
      speculate: readSpeculate(options.speculate) ?? DEFAULT_SPECULATE,
    })
    const shown: ShownRoute = { paths: new Map(), line: '' }
    const end = await follow(events, options.json, output, shown)
    if (options.json) output.answer(`${JSON.stringify(jsonAnswer(end, prepared.ids, shown), null, 2)}\n`)
    return end
  } finally {
    await session.close()
  }
}

function inputOf(options: AskOptions): PromptInput {
  if (options.promptIds !== undefined) return { kind: 'ids', ids: parsePromptIds(options.promptIds) }
  const content = options.prompt ?? ''
  if (options.raw) return { kind: 'raw', text: content }
  const system = options.system === undefined ? [] : [{ role: 'system' as const, content: options.system }]
  return { kind: 'chat', messages: [...system, { role: 'user', content }] }
}

function askedSampling(options: AskOptions): Partial<SamplingOptions> {
  const { temperature, topP, topK, repetitionPenalty, seed } = options
  return {
    ...(temperature === undefined ? {} : { temperature }),
    ...(topP === undefined ? {} : { topP }),
    ...(topK === undefined ? {} : { topK }),
    ...(repetitionPenalty === undefined ? {} : { repetitionPenalty }),
    ...(seed === undefined ? {} : { seed }),
  }
}

async function follow(
  events: AsyncIterable<GenerateEvent>,
  quiet: boolean,
  output: Output,
  shown: ShownRoute,
): Promise<EndEvent> {
  let pause: NodeJS.Timeout | null = null
  let wrote = false
  const endPause = (): void => {
    if (pause !== null) clearTimeout(pause)
    pause = null
  }
  try {
    for await (const event of events) {
      endPause()
      switch (event.type) {
        case 'route':
          output.progress(`Route: ${event.hops.map((hop, i) => hopText(hop, event.direct[i] ?? true)).join(' → ')}`)
          output.progress(`Way: ${event.line}`)
          shown.line = event.line
          shown.paths.clear()
          event.hops.forEach((hop, i) => shown.paths.set(hop.peerId, event.direct[i] === false ? 'relayed' : 'direct'))
          break
        case 'paused':
          pause = setTimeout(() => output.progress(pauseText(event)), PAUSE_SHOWN_AFTER_MS)
          break
        case 'lost':
          output.progress(`Lost ${shortPeer(event.peerId)} (${event.reason}): looking for another route.`)
          break
        case 'token':
          if (!quiet && event.text !== '') {
            output.answer(event.text)
            wrote = true
          }
          break
        case 'prefill':
        case 'resumed':
          break
        case 'end':
          if (wrote) output.answer('\n')
          return event
      }
    }
  } finally {
    endPause()
  }
  throw new Error('bug: a generation ended without its end event')
}

/** A direct connection is what one expects: only the other is said. */
function hopText(hop: RouteHop, isDirect: boolean): string {
  return `${formatSpan(hop.span)} at ${shortPeer(hop.peerId)}${isDirect ? '' : ' (relayed)'}`
}

/** The reason names the blocks. */
function pauseText(event: Extract<GenerateEvent, { type: 'paused' }>): string {
  return `Waiting: ${event.reason.replace(/\.$/, '')}. It goes on by itself.`
}

/** The tail of a peer id tells peers apart; the head is the same for all. */
export function shortPeer(peerId: string): string {
  return `…${peerId.slice(-6)}`
}

/** The `--json` object; field names are part of the command line's contract. */
export function jsonAnswer(
  end: EndEvent,
  promptIds: readonly number[],
  { paths, line }: ShownRoute = { paths: new Map(), line: '' },
): Record<string, unknown> {
  return {
    text: end.text,
    ids: end.ids,
    promptIds,
    route: end.route.map((hop) => ({
      peer: hop.peerId,
      start: hop.span.start,
      end: hop.span.end,
      path: paths.get(hop.peerId) ?? 'direct',
      weights: hop.weights,
      backend: hop.backend,
    })),
    routeLine: line,
    finish: end.finish,
    weights: end.weights,
    backend: end.backend,
    timings: end.timings,
    ...(end.error === undefined ? {} : { error: errorSentence(end.error) }),
  }
}

/** 0: an answer; 130: interrupted, as shells say it; 1: failed. */
export function exitCodeOf(end: EndEvent): number {
  if (end.finish === 'error') return 1
  return end.finish === 'cancel' ? 130 : 0
}
