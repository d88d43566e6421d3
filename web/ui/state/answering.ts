/**
 * One answer while it is written: turns the session's events into an `AnswerEntry` (what is shown and stored) and a
 * `Phase` (what is going on now). It neither stores nor decides what to ask; `conversation.ts` does.
 */
import { StopText } from '../../../session/stop-text.ts'
import type { DecodeStream, GenerateEvent, Timings } from '../../../session/types.ts'
import type { AnswerEntry, AnswerStats, LostPeer } from './chat-types.ts'
import { pageError } from './page-error.ts'

/** What a conversation is doing. */
export type Phase =
  | { kind: 'idle' }
  /** The model's small files are being read. */
  | { kind: 'opening' }
  /** Asked, nothing has come back yet. */
  | { kind: 'connecting' }
  | { kind: 'prefill'; done: number; total: number; reused: number }
  | { kind: 'streaming'; tokens: number; tokensPerSecond: number | null }
  | { kind: 'paused'; missingBlocks: readonly number[]; reason: string }
  | { kind: 'stopping' }

export interface AnswerSink {
  entry(entry: AnswerEntry): void
  phase(phase: Phase): void
}

/**
 * Reads the events to their end and returns the finished entry; never throws. `earlier` ids (of an answer that is being
 * continued) are decoded again first, so that a character cut in two at the break comes out whole; for the same reason the
 * text is cut at `stop` here again, from ids, and not taken from the events.
 */
export async function followAnswer(
  start: AnswerEntry,
  events: AsyncGenerator<GenerateEvent>,
  decoder: DecodeStream | null,
  stop: readonly string[],
  sink: AnswerSink,
  now: () => number,
): Promise<AnswerEntry> {
  const askedAt = now()
  const ids = [...start.ids]
  const shown = new StopText(stop)
  let entry: AnswerEntry = {
    ...start,
    ids,
    text: shown.push(decodeAll(decoder, ids)),
    status: 'streaming',
    error: null,
  }
  let fresh = 0
  let reused = 0
  let promptTokens = 0
  let firstAt: number | null = null
  const show = (change: Partial<AnswerEntry>) => {
    entry = { ...entry, ...change }
    sink.entry(entry)
  }
  try {
    for await (const event of events) {
      switch (event.type) {
        case 'route':
          show({
            routeLine: event.line,
            route: event.hops.map((hop, i) => ({
              peerId: hop.peerId,
              span: hop.span,
              direct: event.direct[i] ?? true,
            })),
          })
          break
        case 'prefill':
          reused = event.reused
          promptTokens = event.reused + event.total
          sink.phase({ kind: 'prefill', done: event.done, total: event.total, reused: event.reused })
          break
        case 'token': {
          ids.push(event.id)
          fresh += 1
          firstAt ??= now()
          show({ text: entry.text + shown.push(decoder === null ? idText(ids) : decoder.push(event.id)) })
          sink.phase({ kind: 'streaming', tokens: fresh, tokensPerSecond: speed(fresh, firstAt, now()) })
          break
        }
        case 'paused':
          sink.phase({ kind: 'paused', missingBlocks: event.missingBlocks, reason: event.reason })
          break
        case 'resumed':
          sink.phase(
            fresh === 0
              ? { kind: 'connecting' }
              : { kind: 'streaming', tokens: fresh, tokensPerSecond: speed(fresh, firstAt, now()) },
          )
          break
        case 'lost':
          show({ lost: [...entry.lost, lostPeerOf(event)] })
          break
        case 'end':
          show({
            text: entry.text + shown.push(decoder?.flush() ?? '') + shown.flush(),
            status: event.finish === 'error' ? 'failed' : event.finish === 'cancel' ? 'stopped' : 'done',
            cut: event.finish === 'length',
            stats: statsOf(event.timings),
            error: event.error ?? null,
          })
          return entry
      }
    }
    // A generator that ends without an `end` event was closed from outside: what is there is kept as stopped.
    show({ status: 'stopped' })
  } catch (error) {
    show({
      status: 'failed',
      error: pageError(error),
      stats:
        firstAt === null
          ? null
          : {
              timeToFirstTokenMs: firstAt - askedAt,
              tokensPerSecond: speed(fresh, firstAt, now()) ?? 0,
              generatedTokens: fresh,
              promptTokens,
              reusedTokens: reused,
            },
    })
  }
  return entry
}

function decodeAll(decoder: DecodeStream | null, ids: readonly number[]): string {
  if (decoder === null) return ids.join(', ')
  return ids.map((id) => decoder.push(id)).join('')
}

/** Of a model without a tokenizer the ids themselves are the text. */
function idText(ids: readonly number[]): string {
  return ids.length === 1 ? `${ids[0]}` : `, ${ids.at(-1)}`
}

/** Tokens a second after the first one; null while there is only one. */
function speed(tokens: number, firstAt: number | null, at: number): number | null {
  return firstAt === null || tokens < 2 || at <= firstAt ? null : ((tokens - 1) * 1000) / (at - firstAt)
}

function statsOf(timings: Timings): AnswerStats {
  return {
    timeToFirstTokenMs: timings.timeToFirstTokenMs,
    tokensPerSecond: timings.tokensPerSecond,
    generatedTokens: timings.generatedTokens,
    promptTokens: timings.promptTokens,
    reusedTokens: timings.reusedTokens,
    ...(timings.speculation === undefined ? {} : { speculation: timings.speculation }),
  }
}

function lostPeerOf({ peerId, reason, afterMs, handedOver }: Extract<GenerateEvent, { type: 'lost' }>): LostPeer {
  return { peerId, reason, afterMs, ...(handedOver === undefined ? {} : { handedOver }) }
}
