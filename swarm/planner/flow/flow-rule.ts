/**
 * The `flow` rule under `PlacementRule`: a peer goes where the swarm can carry most, counted as the most that any routing over
 * everybody's spans could carry (max flow), now and after each possible loss. See `docs/planner.md`.
 */
import type { Span } from '../../span.ts'
import { blocksLostByMove } from '../coverage.ts'
import type { Objective } from '../model.ts'
import type { BalanceCheck, PlacementRule, PlannerPeer, SwarmView } from '../types.ts'
import { placedPeers, withoutPeer } from '../view.ts'
import { shareLeft } from './move-cost.ts'
import { betterSpan } from './plan-steps.ts'
import { JOIN_SLACK, Placing, type PlacedPeer, type Worth } from './placing.ts'

/** The chance that a peer leaves before a replacement could be loaded, where nobody knows better: one in ten. */
const LEAVE_CHANCE = 0.1
/**
 * The published quality is about what a swarm gains when everybody moves. One peer's own move gains a part of that: three moves
 * that each gain this much make up the whole. Asked for less, peers that come and go all the time move for what does not last.
 */
const SHARE_OF_QUALITY = 1 / 3

/** What whoever looks at one view finds alike. */
interface Standing {
  peers: ReadonlyMap<string, PlannerPeer>
  now: Worth
  /** That moves could make of it. */
  most: number
}

/** One rule for each objective; deterministic, and the same for everybody with the same view. */
export function flowRule(objective: Objective): PlacementRule {
  // A view never changes. A simulated day asks a million times, and most of them about one that was looked at before.
  const standings = new WeakMap<SwarmView, Standing>()
  const standingOf = (view: SwarmView): Standing => {
    let standing = standings.get(view)
    if (standing === undefined) {
      const peers = new Map(placedPeers(view).map((peer) => [peer.peerId, peer]))
      const placing = placingOf(view, peers.values(), objective)
      standing = { peers, now: placing.worth(), most: placing.mostOf() }
      standings.set(view, standing)
    }
    return standing
  }
  return {
    name: 'flow',

    chooseSpan(view, joiner): Span {
      const placing = placingOf(view, placedPeers(withoutPeer(view, joiner.peerId)), objective)
      const { peerId: id, blockStepsPerSecond: blockSteps, length: longest } = joiner
      return placing.bestSpan({ id, blockSteps, longest, leaveChance: LEAVE_CHANCE, fixed: false }, JOIN_SLACK).span
    },

    checkBalance(view, peerId, { balanceQuality, secondsUntil }): BalanceCheck {
      const { peers, now, most } = standingOf(view)
      const own = peers.get(peerId)
      const { covered, objective: initial } = now
      const stay = (reason: BalanceCheck['reason'], then: Worth = now): BalanceCheck => {
        // What units with a hole between them carry is for comparing places: of a whole answer it is nothing.
        const [before, after] = [now, then].map((worth) => (worth.covered === view.blocks ? worth.objective : 0))
        const figures = { initial: before as number, simulated: after as number }
        const quality = figures.initial <= 0 ? 0 : Math.min(1, figures.initial / figures.simulated)
        return { ...figures, quality, moveTo: null, reason }
      }
      if (own === undefined) return stay('no-better-place')
      if (own.fixed) return stay('fixed')
      const enough = balanceQuality ** SHARE_OF_QUALITY
      // No move of anybody gains enough: nothing is tried. So it is in a steady swarm, and costs next to nothing.
      if (covered === view.blocks && initial >= enough * most) return stay('balanced')
      const placing = placingOf(view, peers.values(), objective)
      const to = betterSpan(placing, placed(own), 0)
      if (to === null) return stay('no-better-place')
      placing.place(placed(own), to)
      const then = placing.worth()
      if (blocksLostByMove(view, peerId, own.span, to).length > 0) return stay('would-open-hole', then)
      const gain = (then.objective - initial) * shareLeft(secondsUntil?.(to) ?? 0)
      // A hole is closed at any price.
      if (then.covered === covered && initial >= enough * (initial + gain)) return stay('balanced', then)
      if (moversBeside(view, peerId) >= mostMovers(peers.size)) return stay('others-move', then)
      return { ...stay('move', then), moveTo: to }
    },
  }
}

/** Each mover takes its old blocks with it in the end, and what is right for the swarm changes with each. */
function mostMovers(peers: number): number {
  return Math.max(2, Math.ceil(peers / 8))
}

/** Other peers that serve one span and are on their way to another. */
function moversBeside(view: SwarmView, peerId: string): number {
  const serving = new Set(view.peers.filter(({ state }) => state === 'online').map((peer) => peer.peerId))
  return view.peers.filter((peer) => peer.state === 'claimed' && peer.peerId !== peerId && serving.has(peer.peerId))
    .length
}

/** `peers`: in the order of `placedPeers`. */
function placingOf(view: SwarmView, peers: Iterable<PlannerPeer>, objective: Objective): Placing {
  const placing = new Placing(view.unitWeights ?? Array.from({ length: view.blocks }, () => 1), objective)
  for (const peer of peers) placing.place(placed(peer), peer.span)
  return placing
}

/** A move keeps its length: what a peer holds was sized to its memory. */
function placed(peer: PlannerPeer): PlacedPeer {
  return {
    id: peer.peerId,
    blockSteps: peer.blockStepsPerSecond,
    longest: peer.span.end - peer.span.start,
    leaveChance: LEAVE_CHANCE,
    fixed: peer.fixed,
  }
}
