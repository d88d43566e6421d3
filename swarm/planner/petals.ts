/**
 * The published rule of Petals, under `PlacementRule`. Joining: take the window whose poorest blocks are poorest.
 * Balance check: let everybody re-choose until nobody would move, and move when the swarm's poorest block now is worth
 * less than `balanceQuality` of what it would be then. Claims count like served spans, so that tabs that start together
 * see each other. It knows no head: blocks cost the same (`unitWeights` of the view are not looked at). What this implementation adds: no move may take a block's last holder, even in a swarm with holes.
 */
import type { Span } from '../span.ts'
import { BlockThroughput, EPSILON, shareOf } from './block-throughput.ts'
import { blocksLostByMove } from './coverage.ts'
import type { BalanceCheck, PlacementRule, PlannerPeer, SwarmView } from './types.ts'
import { placedPeers, withoutPeer } from './view.ts'

/** Sweeps of the simulation. Each sweep raises the sorted throughputs, so it ends; this bounds the time it may take. */
const MAX_SWEEPS = 100

export const petalsRule: PlacementRule = {
  name: 'petals',

  chooseSpan(view, joiner): Span {
    const length = Math.max(1, Math.min(joiner.length, view.blocks))
    const throughput = new BlockThroughput(view.blocks, placedPeers(withoutPeer(view, joiner.peerId)))
    const start = throughput.poorestWindow(length)
    return { start, end: start + length }
  },

  checkBalance(view, peerId, { balanceQuality, random }): BalanceCheck {
    const peers = placedPeers(view)
    const own = peers.find((peer) => peer.peerId === peerId)
    const throughput = new BlockThroughput(view.blocks, peers)
    const initial = throughput.poorest()
    if (own === undefined) {
      return { initial, simulated: initial, quality: 1, moveTo: null, reason: 'no-better-place' }
    }
    const simulation = new Simulation(throughput, peers)
    // The published rule moves the asking peer first: the place it finds then is where it goes.
    const target = own.fixed ? own.span : simulation.rechoose(own)
    simulation.settle(random)
    const simulated = throughput.poorest()
    const quality = initial <= 0 ? 0 : Math.min(1, initial / simulated)
    const figures = { initial, simulated, quality }

    if (own.fixed) return { ...figures, moveTo: null, reason: 'fixed' }
    if (target.start === own.span.start) return { ...figures, moveTo: null, reason: 'no-better-place' }
    if (opensHole(view, own, target, initial)) return { ...figures, moveTo: null, reason: 'would-open-hole' }
    if (simulated < EPSILON) return { ...figures, moveTo: null, reason: 'no-better-place' }
    if (quality >= balanceQuality - EPSILON) return { ...figures, moveTo: null, reason: 'balanced' }
    return { ...figures, moveTo: target, reason: 'move' }
  },
}

/** In a whole swarm the rule asks that it stays whole while the peer is away; in a broken one, that it loses nothing more. */
function opensHole(view: SwarmView, own: PlannerPeer, target: Span, initial: number): boolean {
  if (blocksLostByMove(view, own.peerId, own.span, target).length > 0) return true
  if (initial <= EPSILON) return false
  return new BlockThroughput(view.blocks, placedPeers(withoutPeer(view, own.peerId))).poorest() <= 0
}

/** Everybody re-choosing, one after another, on one set of sums. Fixed peers count and never move. */
class Simulation {
  readonly #throughput: BlockThroughput
  readonly #spans = new Map<PlannerPeer, Span>()

  constructor(throughput: BlockThroughput, peers: readonly PlannerPeer[]) {
    this.#throughput = throughput
    for (const peer of peers) this.#spans.set(peer, peer.span)
  }

  /** Moves one peer to its best place and returns it; a place that is better by less than the slack does not count. */
  rechoose(peer: PlannerPeer): Span {
    const span = this.#spans.get(peer) as Span
    const length = span.end - span.start
    const share = shareOf(peer, length)
    // Taking away a little more than it gives makes its own place look poorest among equals, against rounding as well.
    this.#throughput.add(span, -share * (1 + EPSILON))
    const start = this.#throughput.poorestWindow(length)
    this.#throughput.add(span, share * EPSILON)
    const chosen = start === span.start ? span : { start, end: start + length }
    this.#throughput.add(chosen, share)
    this.#spans.set(peer, chosen)
    return chosen
  }

  settle(random: () => number): void {
    const movable = [...this.#spans.keys()].filter((peer) => !peer.fixed)
    for (let sweep = 0; sweep < MAX_SWEEPS; sweep += 1) {
      let moved = false
      for (const peer of shuffled(movable, random)) {
        const before = this.#spans.get(peer)
        if (this.rechoose(peer) !== before) moved = true
      }
      if (!moved) return
    }
  }
}

function shuffled<T>(items: readonly T[], random: () => number): T[] {
  const result = [...items]
  for (let i = result.length - 1; i > 0; i -= 1) {
    const j = Math.floor(random() * (i + 1))
    ;[result[i], result[j]] = [result[j] as T, result[i] as T]
  }
  return result
}
