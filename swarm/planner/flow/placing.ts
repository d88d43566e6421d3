/**
 * A swarm of peers that are described by block-steps a second, while one peer after another looks for its best place. The
 * objective is what the whole swarm is worth: capacity, or what is expected of it when peers may leave.
 */
import type { Span } from '../../span.ts'
import type { Objective } from '../model.ts'
import { Solo } from './solo.ts'
import { spanBound } from './span-bound.ts'
import { Supplies } from './supplies.ts'

export interface PlacedPeer {
  id: string
  blockSteps: number
  /** Longest span it can hold. */
  longest: number
  leaveChance: number
  fixed: boolean
}

/** What a placement is worth; compared field by field in this order. */
export interface Worth {
  covered: number
  objective: number
  evenness: number
}

/** Objectives that differ by less, relative, count as equal. */
const EQUAL = 1e-6
/** A joiner takes, of places that are worth as much but for so much of it, the one with the fastest route for one session. */
export const JOIN_SLACK = 0.01
/** But only in a swarm that is worth so much of its bound: in a poorer one the places that are best by a little are also what later peers build on. */
const NEAR_BOUND = 0.87
/** In larger swarms one loss in so many changes little and costs much to work out: capacity is looked at alone. */
const EXPECTED_UP_TO_PEERS = 96
/** So many of the places that are best in capacity are looked at for what is expected of them. */
const EXPECTED_CANDIDATES = 6

interface Candidate {
  span: Span
  worth: Worth
}

export class Placing {
  readonly supplies: Supplies
  readonly #objective: Objective
  readonly #spans = new Map<string, Span>()
  readonly #peers = new Map<string, PlacedPeer>()

  constructor(unitWeights: readonly number[], objective: Objective) {
    this.supplies = new Supplies(unitWeights)
    this.#objective = objective
  }

  get placement(): ReadonlyMap<string, Span> {
    return this.#spans
  }

  peers(): PlacedPeer[] {
    return [...this.#peers.values()]
  }

  spanOf(id: string): Span | undefined {
    return this.#spans.get(id)
  }

  place(peer: PlacedPeer, span: Span): void {
    this.take(peer.id)
    this.#peers.set(peer.id, peer)
    this.#spans.set(peer.id, span)
    this.supplies.add(span, peer.blockSteps)
  }

  take(id: string): void {
    const span = this.#spans.get(id)
    if (span === undefined) return
    this.supplies.remove(span, (this.#peers.get(id) as PlacedPeer).blockSteps)
    this.#spans.delete(id)
    this.#peers.delete(id)
  }

  worth(): Worth {
    const capacity = this.supplies.capacity()
    return {
      covered: this.supplies.covered(),
      objective: this.#looksAtLosses() ? this.#expected(capacity) : capacity,
      evenness: this.supplies.evenness(),
    }
  }

  /** The best route of one session alone, as everybody stands. */
  solo(): Solo {
    const peers = [...this.#peers].map(([id, { blockSteps }]) => ({ span: this.#spans.get(id) as Span, blockSteps }))
    return new Solo(this.supplies.weights, peers)
  }

  /** What no placement of these peers can be worth more than, in the objective. */
  mostOf(): number {
    const { supplies } = this
    const most = spanBound(supplies.weights, this.#peers.values())
    if (!this.#looksAtLosses()) return most
    const sum = supplies.total / supplies.totalWeight
    let stays = 1
    let chances = 0
    let lost = 0
    for (const { leaveChance, blockSteps } of this.#peers.values()) {
      stays *= 1 - leaveChance
      chances += leaveChance
      lost += leaveChance * Math.min(most, sum - blockSteps / supplies.totalWeight)
    }
    return chances === 0 ? most : stays * most + ((1 - stays) * lost) / chances
  }

  /**
   * The best place for a peer that is not placed; ties to the lower start. It takes its longest span: a peer that shifts its
   * work within its span can do with a longer one all that it can with a part of it.
   */
  bestSpan(peer: PlacedPeer, slack = 0): { span: Span; worth: Worth } {
    const { supplies } = this
    const candidates: Candidate[] = []
    let best: Candidate | null = null
    const looksAtLosses = this.#looksAtLosses()
    for (const span of placesOf(supplies, peer)) {
      supplies.add(span, peer.blockSteps)
      const covered = supplies.covered()
      if (best === null || covered >= best.worth.covered) {
        const evenness = supplies.evenness()
        // One test tells most places apart: is it as good as the best so far?
        const floor = best === null || covered > best.worth.covered ? 0 : best.worth.objective * (1 - EQUAL)
        if (supplies.carries(floor)) {
          const worth = { covered, objective: supplies.capacity(), evenness }
          const candidate = { span, worth }
          if (best === null || isBetter(worth, best.worth)) best = candidate
          if (looksAtLosses) candidates.push(candidate)
        } else if (looksAtLosses) candidates.push({ span, worth: { covered, objective: 0, evenness } })
      }
      supplies.remove(span, peer.blockSteps)
    }

    if (best === null) throw new Error('a peer without a place')
    return looksAtLosses ? this.#bestExpected(peer, candidates, best, slack) : best
  }

  #bestExpected(peer: PlacedPeer, candidates: readonly Candidate[], best: Candidate, slack: number): Candidate {
    const { covered } = best.worth
    const alike = candidates.filter((candidate) => candidate.worth.covered === covered)
    const byCapacity = alike.toSorted((a, b) => compareWorth(b.worth, a.worth)).slice(0, EXPECTED_CANDIDATES)
    // What a loss leaves is best where poor units are strengthened, which capacity alone does not see.
    const byEvenness = alike.toSorted((a, b) => b.worth.evenness - a.worth.evenness).slice(0, EXPECTED_CANDIDATES)
    const solo = slack === 0 || covered < this.supplies.units ? null : this.solo()
    const msOf = new Map(
      alike.map((each) => [each, solo?.msWith({ span: each.span, blockSteps: peer.blockSteps }) ?? 0]),
    )
    const ms = (candidate: Candidate): number => msOf.get(candidate) as number
    const byLatency = solo === null ? [] : alike.toSorted((a, b) => ms(a) - ms(b)).slice(0, EXPECTED_CANDIDATES)
    const tried = [...new Set([...byCapacity, ...byEvenness, ...byLatency])].map((candidate) => {
      this.place(peer, candidate.span)
      const worth = this.worth()
      this.take(peer.id)
      return { span: candidate.span, worth, ms: ms(candidate) }
    })
    const most = Math.max(...tried.map(({ worth }) => worth.objective))
    if (solo === null || most < NEAR_BOUND * this.#mostWith(peer, best.span)) {
      return tried.reduce((chosen, each) => (isBetter(each.worth, chosen.worth) ? each : chosen))
    }
    return tried
      .filter(({ worth }) => worth.objective >= (1 - slack) * most)
      .reduce((chosen, each) => {
        if (Math.abs(each.ms - chosen.ms) > EQUAL * chosen.ms) return each.ms < chosen.ms ? each : chosen
        return isBetter(each.worth, chosen.worth) ? each : chosen
      })
  }

  /** `mostOf` with one more peer; it does not depend on where that stands. */
  #mostWith(peer: PlacedPeer, anywhere: Span): number {
    this.place(peer, anywhere)
    const most = this.mostOf()
    this.take(peer.id)
    return most
  }

  #looksAtLosses(): boolean {
    return this.#objective === 'expected' && this.#peers.size <= EXPECTED_UP_TO_PEERS
  }

  #expected(capacity: number): number {
    // While units have no holder there is nothing to lose yet.
    if (this.supplies.covered() < this.supplies.units) return capacity
    let stays = 1
    let chances = 0
    let lost = 0
    for (const { id, leaveChance, blockSteps } of this.#peers.values()) {
      if (leaveChance <= 0) continue
      const span = this.#spans.get(id) as Span
      stays *= 1 - leaveChance
      chances += leaveChance
      this.supplies.remove(span, blockSteps)
      if (this.supplies.covered() === this.supplies.units) lost += leaveChance * this.supplies.capacity()
      this.supplies.add(span, blockSteps)
    }
    return chances === 0 ? capacity : stays * capacity + ((1 - stays) * lost) / chances
  }
}

/** Every place of a peer at its longest span, from the lowest start on. */
export function placesOf({ units }: Supplies, { longest }: PlacedPeer): Span[] {
  const length = Math.max(1, Math.min(longest, units))
  return Array.from({ length: units - length + 1 }, (_, start) => ({ start, end: start + length }))
}

/** Whether a placement is worth more than another, beyond rounding. */
export function isBetter(a: Worth, b: Worth): boolean {
  return compareWorth(a, b) > 0
}

function compareWorth(a: Worth, b: Worth): number {
  if (a.covered !== b.covered) return a.covered - b.covered
  if (Math.abs(a.objective - b.objective) > EQUAL * Math.max(a.objective, b.objective)) return a.objective - b.objective
  const slack = EQUAL * Math.max(Math.abs(a.evenness), Math.abs(b.evenness))
  return Math.abs(a.evenness - b.evenness) > slack ? a.evenness - b.evenness : 0
}
