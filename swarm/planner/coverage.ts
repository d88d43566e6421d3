/** Which blocks are held, by how many, and which by nobody. */
import { blocksOf, type Span } from '../span.ts'
import type { SwarmView } from './types.ts'
import { lastingSpans, placedPeers } from './view.ts'

export interface Coverage {
  /** Peers that serve each block now; those that are about to leave do not count. */
  holders: number[]
  /** Blocks that nobody serves now, ascending. */
  missing: number[]
}

export function coverageOf(view: SwarmView): Coverage {
  const holders = countSpans(
    view.blocks,
    view.peers.filter((peer) => peer.state === 'online').map((peer) => peer.span),
  )
  return { holders, missing: zerosOf(holders) }
}

/** Blocks that nobody serves now, ascending. */
export function missingBlocks(view: SwarmView): number[] {
  return coverageOf(view).missing
}

/** Blocks that nobody serves or is going to serve: what an urgent move is for. */
export function unclaimedBlocks(view: SwarmView): number[] {
  return zerosOf(
    countSpans(
      view.blocks,
      placedPeers(view).map((peer) => peer.span),
    ),
  )
}

/**
 * Blocks that would lose their last holder if `peerId` went from `from` to `to`. Only peers that serve a block and are
 * going to stay count as holders: one that loads may never come.
 */
export function blocksLostByMove(view: SwarmView, peerId: string, from: Span, to: Span): number[] {
  const others = [...lastingSpans(view)].filter(([id]) => id !== peerId).map(([, span]) => span)
  const holders = countSpans(view.blocks, others)
  return blocksOf(from).filter((block) => holders[block] === 0 && (block < to.start || block >= to.end))
}

function countSpans(blocks: number, spans: readonly Span[]): number[] {
  const counts = Array.from({ length: blocks }, () => 0)
  for (const span of spans) {
    for (let block = span.start; block < span.end; block += 1) counts[block] = (counts[block] ?? 0) + 1
  }
  return counts
}

function zerosOf(counts: readonly number[]): number[] {
  return counts.flatMap((count, block) => (count === 0 ? [block] : []))
}
