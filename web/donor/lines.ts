/** The original's log lines, word for word: people look for them, and so do tests. */
import { formatBlocks, type Span } from '../../swarm/span.ts'

export type DonorMode = 'load-balancing' | 'fixed'

const NAMES: Record<DonorMode, string> = { 'load-balancing': 'Load Balancing', fixed: 'Fixed mode' }

export function selectedLine(span: Span): string {
  return `Selected blocks: ${formatBlocks(span)}`
}

export function initializedLine(mode: DonorMode, peerId: string): string {
  return `P2P initialized for ${NAMES[mode]} server, PeerID: ${peerId}`
}

/** `throughput`: one-token steps a second through the whole span. */
export function readyLine(mode: DonorMode, span: Span, throughput: number): string {
  return `${NAMES[mode]} server ready, blocks=${formatBlocks(span)}, throughput=${throughput.toFixed(2)} rps`
}

export function balanceLine(check: { initial: number; simulated: number; quality: number }): string {
  const { initial, simulated, quality } = check
  return `Swarm balance quality: ${(quality * 100).toFixed(1)}% (initial=${initial.toFixed(2)}, new=${simulated.toFixed(2)})`
}

export const IMBALANCE_LINE = 'Load balancing detected imbalance, will rebalance blocks'
