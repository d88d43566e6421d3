/** Every change of who serves what, with its time: what `--timeline` writes and the report draws. */
import type { Span } from '../span.ts'

export type Why = 'join' | 'balance' | 'hole' | 'start'

export type TimelineEntry =
  /** A claim, visible to all before the download begins. */
  | { t: number; peer: string; event: 'claim'; start: number; end: number; why: Why; bytes: number }
  /** The span is loaded and served; with `from`, the one it replaces. */
  | { t: number; peer: string; event: 'serve'; start: number; end: number; why: Why; from?: [number, number] }
  /** A move that was given up: the old units would have lost their last holder, or a better place came up. */
  | { t: number; peer: string; event: 'stay'; start: number; end: number }
  /** `noticed`: others have understood that a crashed peer is gone. */
  | { t: number; peer: string; event: 'leave' | 'crash' | 'noticed' }
  | { t: number; peer: string; event: 'speed'; factor: number }

/** A session has a route, its first or another. */
export interface RouteEntry {
  t: number
  session: string
  event: 'route'
  route: string
}

export function spanOf(entry: { start: number; end: number }): Span {
  return { start: entry.start, end: entry.end }
}

/** Three decimals: milliseconds are finer than anything that is simulated. */
export function rounded(value: number, digits = 3): number {
  const scale = 10 ** digits
  return Math.round(value * scale) / scale
}
