/**
 * A donor's place in the swarm: what it says of itself and what it sees of the others. Its own record is always its newest
 * one, however late it comes back through a relay.
 */
import type { AnnouncedFields, ServingNode } from '../../net/types.ts'
import type { PeerRecord } from '../../swarm/peer-record.ts'
import type { PlannerPeer, SwarmView } from '../../swarm/planner/types.ts'
import { viewOf } from '../../swarm/planner/view.ts'
import type { Span } from '../../swarm/span.ts'

export type FieldChange = Partial<Omit<AnnouncedFields, 'next' | 'model'>> & { next?: Span | null }

export class Member {
  readonly node: ServingNode
  #fields: AnnouncedFields
  #isAnnounced = false

  constructor(node: ServingNode, fields: AnnouncedFields) {
    this.node = node
    this.#fields = fields
  }

  get peerId(): string {
    return this.node.peerId
  }

  get fields(): AnnouncedFields {
    return this.#fields
  }

  /** The swarm's clock in whole milliseconds, as records carry it. */
  now(): number {
    return Math.round(this.node.now())
  }

  /** Changes what this donor says of itself and says it at once. `next: null` takes a claim back. */
  announce(change: FieldChange): void {
    const { next: before, ...fields } = this.#fields
    const { next = before, ...rest } = change
    this.#fields = { ...fields, ...rest, ...(next === undefined || next === null ? {} : { next }) }
    this.#isAnnounced = true
    this.node.announcer.announce(this.#fields)
  }

  /** Says the same again: after the browser had stopped the page's timers. */
  repeat(): void {
    if (this.#isAnnounced) this.node.announcer.announce(this.#fields)
  }

  /** Everybody else. */
  others(): SwarmView {
    const { digest, blocks } = this.#fields.model
    return viewOf(
      this.node.directory.records(digest).filter((record) => record.peerId !== this.peerId),
      blocks,
    )
  }

  /** Everybody, this donor as it announces itself. */
  view(): SwarmView {
    const others = this.others()
    return { blocks: others.blocks, peers: [...others.peers, ...this.#ownPeers(this.#fields)] }
  }

  /** This donor as if it had not claimed anything beside what it serves, with the claim order it has served in. */
  asServing(claimedAt: number): PlannerPeer[] {
    const { next: _, ...fields } = this.#fields
    return this.#ownPeers({ ...fields, claimedAt })
  }

  #ownPeers(fields: AnnouncedFields): PlannerPeer[] {
    const record: PeerRecord = { ...fields, v: 1, peerId: this.peerId, seq: 0, issuedAt: 0, ttlMs: 0, relays: [] }
    return [...viewOf([record], fields.model.blocks).peers]
  }
}
