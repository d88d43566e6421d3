/**
 * A donor's place in the swarm: what it says of itself and what it sees of the others. Its own record is always its newest
 * one, however late it comes back through a relay.
 */
import type { AnnouncedFields, ServingNode } from '../../net/types.ts'
import { viewBefore } from '../../swarm/planner/claims.ts'
import type { SwarmView } from '../../swarm/planner/types.ts'
import { viewOf } from '../../swarm/planner/view.ts'
import type { PeerRecord } from '../../swarm/peer-record.ts'
import { PROTOCOL_MAJOR } from '../../swarm/protocol.ts'
import type { Span } from '../../swarm/span.ts'

/** null takes a field back. */
export type FieldChange = Partial<Omit<AnnouncedFields, Optional | 'model'>> & {
  [Field in Optional]?: AnnouncedFields[Field] | null
}
type Optional = 'next' | 'asks' | 'promises'

export class Member {
  readonly node: ServingNode
  readonly #unitWeights: readonly number[]
  #fields: AnnouncedFields
  #isAnnounced = false
  #isAside = false

  /** `unitWeights`: what each block costs, see `SwarmView`. */
  constructor(node: ServingNode, fields: AnnouncedFields, unitWeights: readonly number[]) {
    this.node = node
    this.#unitWeights = unitWeights
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

  /** Changes what this donor says of itself and says it at once. */
  announce(change: FieldChange): void {
    const { next: oldNext, asks: oldAsks, promises: oldPromises, ...fields } = this.#fields
    const { next = oldNext, asks = oldAsks, promises = oldPromises, ...rest } = change
    this.#fields = {
      ...fields,
      ...rest,
      ...(next === undefined || next === null ? {} : { next }),
      ...(asks === undefined || asks === null ? {} : { asks }),
      ...(promises === undefined || promises === null ? {} : { promises }),
    }
    this.#isAnnounced = true
    this.#publish()
  }

  /** Takes no new sessions, whatever else is announced until `comeBack`: routes and placement leave this donor out. */
  stepAside(): void {
    this.#isAside = true
    this.#publish()
  }

  comeBack(): void {
    this.#isAside = false
    this.#publish()
  }

  /** The one place that decides what others read: somebody who is away is away, loaded or not. */
  #publish(): void {
    if (!this.#isAnnounced) return
    const { asks: _, promises: __, ...fields } = this.#fields
    if (this.heldSpan() !== null) this.node.announcer.announce(this.#fields)
    else this.node.announcer.announce(this.#isAside ? { ...fields, state: 'leaving' } : fields)
  }

  /** What it serves and others may rely on; null while it does not, or has stepped aside. */
  heldSpan(): Span | null {
    return this.#fields.state === 'online' && !this.#isAside ? this.#fields.span : null
  }

  /** Everybody else. */
  others(): SwarmView {
    return this.#viewWith(null)
  }

  /** Everybody, this donor as it announces itself. */
  view(): SwarmView {
    return this.#viewWith(this.#fields)
  }

  /**
   * What a move of this donor has to give way to: those that serve and claims that go before `claimedAt`, and itself as if
   * it had claimed nothing beside what it serves, in the order of `servedSince`.
   */
  viewBeforeMove(claimedAt: number, servedSince: number): SwarmView {
    const { next: _, ...serving } = this.#fields
    const view = this.#viewWith({ ...serving, state: 'online', claimedAt: servedSince })
    const before = viewBefore(view, { claimedAt, peerId: this.peerId })
    return {
      ...view,
      peers: [...before.peers, ...view.peers.filter((peer) => peer.peerId === this.peerId)],
    }
  }

  /** The newest known of everybody else. */
  otherRecords(): PeerRecord[] {
    const { digest } = this.#fields.model
    return this.node.directory.records(digest).filter((record) => record.peerId !== this.peerId)
  }

  #viewWith(own: AnnouncedFields | null): SwarmView {
    const { blocks } = this.#fields.model
    const records = this.otherRecords()
    if (own !== null) {
      records.push({ ...own, v: PROTOCOL_MAJOR, peerId: this.peerId, seq: 0, issuedAt: 0, ttlMs: 0, relays: [] })
    }
    return viewOf(records, blocks, this.#unitWeights)
  }
}
