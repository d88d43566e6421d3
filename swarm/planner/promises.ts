/**
 * Who may let blocks go: only a peer that others have promised, in their signed records, to stay. Pure: own records, own clock
 * and what is wanted are arguments.
 *
 * Whoever wants to let blocks go publishes an ask with a stamp of its own. A holder answers in its own record, and from
 * then on keeps its blocks for the asked time, counted from when it read the ask. The asker counts the same time from
 * before it was published, so it always ends first: clocks need not agree, only run alike (`MARGIN_MS`). It lets go at a
 * moment when each of its blocks has such a promise, and it has itself none running. So at every voluntary drop somebody
 * else holds the block at that very moment: two that rely on each other would each have to be past their own promise
 * while the other's runs. Late, lost and reordered records can only take promises away: an answer names the stamp.
 *
 * Whoever asks does not promise, except to somebody who asked before: it takes its own ask back and comes after.
 */
import { MAX_PROMISES } from '../limits.ts'
import type { Ask, PeerRecord, StayPromise } from '../peer-record.ts'
import { blocksOf, sameSpan, spansOverlap, type Span } from '../span.ts'

/** What the decisions read of a record. */
export type StayRecord = Pick<PeerRecord, 'peerId' | 'seq' | 'state' | 'span' | 'asks' | 'promises'>

/** Two clocks of a minute differ by less, and so does the moment between deciding and letting go. */
const MARGIN_MS = 1_000
/** Of the holders of a block so many answer at once; all others when the ask has waited. */
const FIRST_TO_ANSWER = 2
const ALL_AFTER_MS = 1_000

export interface GivenPromise extends StayPromise {
  /** Of the asker's record in which the ask was last seen. */
  seq: number
  /** What stays. */
  span: Span
  /** On this peer's own clock. */
  until: number
}

export interface OwnAsk extends Ask {
  /** On this peer's own clock, before it was published. */
  askedAt: number
}

/** What a peer has promised and asked. Given promises are kept after their end while the ask is still seen: none is given twice. */
export interface PromiseState {
  given: readonly GivenPromise[]
  ask: OwnAsk | null
}

export const NO_PROMISES: PromiseState = { given: [], ask: null }

export interface PromiseLook {
  peerId: string
  /** The newest record known of each other peer. */
  records: readonly StayRecord[]
  /** What this peer serves and relies on serving; null: nothing. */
  holds: Span | null
  /** What it wants to let go of, null: nothing. */
  wants: Span | null
  /** How long promises are asked for. */
  forMs: number
  /** This peer's own clock, ms. */
  now: number
  /** Greater than that of every earlier ask of this peer. */
  stamp: number
}

/** One look at the records: answers asks, asks, comes after others, gives promises up that nobody needs any more. */
export function lookAtPromises(state: PromiseState, look: PromiseLook): PromiseState {
  const { records, holds, wants, now } = look
  if (holds === null) return NO_PROMISES
  const known = new Map(records.map((record) => [record.peerId, record]))
  const kept = state.given.flatMap((promise) => keep(promise, known.get(promise.to), holds, now))
  const given = answer(kept, state.ask, { ...look, holds })
  if (wants === null || isBound({ given }, now)) return { given, ask: null }
  if (state.ask === null || !sameSpan(state.ask.span, wants) || isOver(state.ask, now)) {
    return { given, ask: { at: look.stamp, forMs: look.forMs, span: wants, askedAt: now } }
  }
  return { given, ask: now - state.ask.askedAt < ALL_AFTER_MS ? state.ask : { ...state.ask, all: true } }
}

/** Of `blocks`, those that this peer may not let go now: nobody is bound to keep them. */
export function blocksNotPromised(
  { given, ask }: PromiseState,
  {
    peerId,
    records,
    blocks,
    now,
  }: { peerId: string; records: readonly StayRecord[]; blocks: readonly number[]; now: number },
): readonly number[] {
  if (ask === null || isOver(ask, now) || isBound({ given }, now)) return blocks
  const bound = records.filter(
    (record) =>
      record.peerId !== peerId &&
      record.state === 'online' &&
      record.promises?.some((promise) => promise.to === peerId && promise.at === ask.at) === true,
  )
  return blocks.filter((block) => !bound.some(({ span }) => span.start <= block && block < span.end))
}

/** Whether a promise of its own keeps it from letting anything go. */
export function isBound({ given }: Pick<PromiseState, 'given'>, now: number): boolean {
  return given.some((promise) => promise.until > now)
}

/** What a record says of this state. */
export function publishedPromises({ given, ask }: PromiseState, now: number): Pick<PeerRecord, 'asks' | 'promises'> {
  const promises = given.filter((promise) => promise.until > now).map(({ to, at }) => ({ to, at }))
  if (ask === null) return promises.length === 0 ? {} : { promises }
  const { askedAt: _, ...asks } = ask
  return promises.length === 0 ? { asks } : { asks, promises }
}

/** A promise ends with its time, or when its asker has said something else since: it has let go by then, or never will on this stamp. */
function keep(promise: GivenPromise, asker: StayRecord | undefined, holds: Span, now: number): GivenPromise[] {
  if (!sameSpan(promise.span, holds)) return []
  if (asker?.asks?.at === promise.at) return [{ ...promise, seq: Math.max(promise.seq, asker.seq) }]
  // A record from before the ask says nothing: the directory may have forgotten the newer one.
  if (asker !== undefined && asker.seq > promise.seq) return []
  return promise.until > now ? [promise] : []
}

function answer(
  kept: readonly GivenPromise[],
  own: OwnAsk | null,
  look: PromiseLook & { holds: Span },
): readonly GivenPromise[] {
  const { records, holds, peerId, now } = look
  const asking = records.filter(({ asks }) => asks !== undefined)
  if (asking.length === 0) return kept
  const given = [...kept]
  for (const { peerId: to, seq, asks } of asking.toSorted(byStamp)) {
    if (asks === undefined || to === peerId || !spansOverlap(asks.span, holds)) continue
    if (given.some((promise) => promise.to === to && promise.at === asks.at)) continue
    if (own !== null && !goesBefore(asks, to, own, peerId)) continue
    if (!isWanted(asks, to, look)) continue
    if (given.filter((promise) => promise.until > now).length >= MAX_PROMISES) break
    given.push({ to, at: asks.at, seq, span: holds, until: now + asks.forMs })
  }
  return given
}

/** Whether this peer is among the first holders of a block that is asked for, or everybody is asked. */
function isWanted(asks: Ask, asker: string, { records, peerId, holds }: PromiseLook & { holds: Span }): boolean {
  if (asks.all === true) return true
  const before = records.filter(
    (record) => record.state === 'online' && record.peerId !== asker && record.peerId < peerId,
  )
  return blocksOf(asks.span).some(
    (block) =>
      holds.start <= block &&
      block < holds.end &&
      before.filter(({ span }) => span.start <= block && block < span.end).length < FIRST_TO_ANSWER,
  )
}

function isOver(ask: OwnAsk, now: number): boolean {
  return now > ask.askedAt + ask.forMs - MARGIN_MS
}

function goesBefore(theirs: Ask, theirId: string, own: Ask, ownId: string): boolean {
  return theirs.at < own.at || (theirs.at === own.at && theirId < ownId)
}

function byStamp(a: StayRecord, b: StayRecord): number {
  return (a.asks?.at ?? 0) - (b.asks?.at ?? 0) || (a.peerId < b.peerId ? -1 : 1)
}
