/** A span: consecutive blocks held or run by one peer, half open `[start, end)`, printed `8:16`. */
export interface Span {
  readonly start: number
  readonly end: number
}

export function spanLength(span: Span): number {
  return span.end - span.start
}

export function formatSpan(span: Span): string {
  return `${span.start}:${span.end}`
}

/** The blocks of a span, as the original prints them: `[8, 9, 10, 11]`. */
export function formatBlocks(span: Span): string {
  return `[${blocksOf(span).join(', ')}]`
}

export function blocksOf(span: Span): number[] {
  return Array.from({ length: spanLength(span) }, (_, i) => span.start + i)
}

/** Of a peer that serves nothing. */
export const NO_BLOCKS: Span = { start: 0, end: 0 }

export function sameSpan(a: Span, b: Span): boolean {
  return a.start === b.start && a.end === b.end
}

/** Whether `outer` holds every block of `inner`. */
export function containsSpan(outer: Span, inner: Span): boolean {
  return outer.start <= inner.start && inner.end <= outer.end
}

export function spansOverlap(a: Span, b: Span): boolean {
  return a.start < b.end && b.start < a.end
}

/** A span of `blocks` blocks: integers, `0 <= start < end <= blocks`. */
export function isValidSpan(span: Span, blocks: number): boolean {
  return (
    Number.isInteger(span.start) &&
    Number.isInteger(span.end) &&
    span.start >= 0 &&
    span.start < span.end &&
    span.end <= blocks
  )
}

/** Blocks as ranges for a person: `[3, 4, 5, 9]` → `3–5, 9`. Input ascending. */
export function formatBlockRanges(blocks: readonly number[]): string {
  const parts: string[] = []
  let i = 0
  while (i < blocks.length) {
    const first = blocks[i] as number
    let last = first
    while (i + 1 < blocks.length && blocks[i + 1] === last + 1) {
      last += 1
      i += 1
    }
    parts.push(first === last ? `${first}` : `${first}–${last}`)
    i += 1
  }
  return parts.join(', ')
}
