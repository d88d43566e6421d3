/** A span for a person: the first and the last block, both included. */
import { formatBlockRanges, blocksOf, type Span } from '../../../swarm/span.ts'

export function spanText(span: Span): string {
  return formatBlockRanges(blocksOf(span))
}
