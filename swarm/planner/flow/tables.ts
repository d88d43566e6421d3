/** Peers of either form as tables: what one passes with each length of span. */
import { longestSpan, type ModelPeer } from '../model.ts'

export interface TablePeer {
  id: string
  /** `[length - 1]`: tokens a second with a span of so many units. */
  tokens: readonly number[]
  fixed: boolean
}

export function tablePeer(peer: ModelPeer, units: number): TablePeer {
  const { speed } = peer
  const tokens = Array.from({ length: longestSpan(peer, units) }, (_, i) =>
    speed.kind === 'table' ? (speed.tokensPerSecond[i] as number) : speed.blockStepsPerSecond / (i + 1),
  )
  return { id: peer.id, tokens, fixed: peer.fixed === true }
}
