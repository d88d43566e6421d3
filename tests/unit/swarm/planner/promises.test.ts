/**
 * Peers that let blocks go at will, over a network that delays, loses and reorders records, with clocks that do not agree:
 * no voluntary drop takes a block's last holder. The peers run the real decisions; everything else is drawn.
 */
import { describe, expect, it } from 'vitest'
import {
  blocksNotPromised,
  lookAtPromises,
  NO_PROMISES,
  publishedPromises,
  type PromiseState,
  type StayRecord,
} from '../../../../swarm/planner/promises.ts'
import { blocksOf, type Span } from '../../../../swarm/span.ts'
import { seededRandom } from './support.ts'

const BLOCKS = 6
const FOR_MS = 20_000

/** When a peer believes that it may let `blocks` go. */
type Check = (peer: ModelPeer, blocks: readonly number[]) => boolean

const promised: Check = (peer, blocks) =>
  blocksNotPromised(peer.state, { peerId: peer.id, records: peer.records(), blocks, now: peer.now() }).length === 0
/** What a peer could go by otherwise: others serve the blocks, as far as it knows. */
const seenElsewhere: Check = (peer, blocks) =>
  blocks.every((block) => peer.records().some((record) => record.state === 'online' && holds(record.span, block)))
/** Promises of others, without a thought for what it has promised itself. */
const promisedByOthers: Check = (peer, blocks) =>
  blocksNotPromised({ ...peer.state, given: [] }, { peerId: peer.id, records: peer.records(), blocks, now: peer.now() })
    .length === 0

interface ModelPeer {
  id: string
  span: Span
  isAlive: boolean
  target: Span | null
  state: PromiseState
  seq: number
  stamp: number
  known: Map<string, StayRecord>
  records(): StayRecord[]
  now(): number
}

class Model {
  readonly random: () => number
  readonly peers: ModelPeer[]
  readonly check: Check
  readonly delayed: { to: ModelPeer; record: StayRecord }[] = []
  readonly loss: number
  time = 1_000_000
  drops = 0
  holes: string[] = []
  /** Peers that crashed or went without being let go, by the time of it. */
  readonly broken = new Map<string, number>()

  constructor(seed: number, check: Check, loss = 0.2) {
    this.random = seededRandom(seed * 7919 + 1)
    for (let i = 0; i < 5; i += 1) this.random()
    this.check = check
    this.loss = loss
    this.peers = Array.from({ length: 2 + this.draw(4) }, (_, i) => this.#peer(`p${i}`))
    for (const peer of this.peers) this.publish(peer)
  }

  draw(below: number): number {
    return Math.floor(this.random() * below)
  }

  pick<T>(list: readonly T[]): T {
    return list[this.draw(list.length)] as T
  }

  drawSpan(): Span {
    const start = this.draw(BLOCKS)
    return { start, end: Math.min(BLOCKS, start + 1 + this.draw(3)) }
  }

  #peer(id: string): ModelPeer {
    // As far from the right time as records may be at all.
    const skew = this.draw(60_000) - 30_000
    const known = new Map<string, StayRecord>()
    return {
      id,
      span: this.drawSpan(),
      isAlive: true,
      target: null,
      state: NO_PROMISES,
      seq: 0,
      stamp: 0,
      known,
      records: () => [...known.values()],
      now: () => this.time + skew,
    }
  }

  publish(peer: ModelPeer): void {
    peer.seq += 1
    const { id: peerId, seq, span } = peer
    const record: StayRecord = { peerId, seq, state: 'online', span, ...publishedPromises(peer.state, peer.now()) }
    for (const to of this.peers ?? []) {
      if (to !== peer && this.random() >= this.loss) this.delayed.push({ to, record })
    }
  }

  look(peer: ModelPeer): void {
    if (!peer.isAlive) return
    const before = saidBy(peer)
    peer.stamp = Math.max(peer.stamp + 1, peer.now())
    const look = {
      peerId: peer.id,
      records: peer.records(),
      holds: peer.span,
      wants: peer.target === null ? null : peer.span,
      forMs: FOR_MS,
      now: peer.now(),
      stamp: peer.stamp,
    }
    const was = peer.state
    peer.state = lookAtPromises(was, look)
    if (this.check === promisedByOthers) {
      // It promises and asks as if these were two peers.
      const { given } = lookAtPromises({ ...was, ask: null }, { ...look, wants: null })
      const { ask } = lookAtPromises({ given: [], ask: was.ask }, { ...look, records: [] })
      peer.state = { given, ask }
    }
    if (saidBy(peer) !== before) this.publish(peer)
    const { target } = peer
    if (target === null) return
    const blocks = blocksOf(peer.span).filter((block) => !holds(target, block))
    if (this.check(peer, blocks)) this.#drop(peer, target, blocks)
  }

  #drop(peer: ModelPeer, target: Span, blocks: readonly number[]): void {
    this.drops += 1
    for (const block of blocks) {
      if (this.peers.some((other) => other !== peer && other.isAlive && holds(other.span, block))) continue
      this.holes.push(`${peer.id} left block ${block} to nobody`)
    }
    peer.span = target
    peer.target = null
    peer.state = NO_PROMISES
    this.publish(peer)
  }

  deliver(index: number): void {
    const [message] = this.delayed.splice(index, 1)
    if (message === undefined) return
    const { to, record } = message
    if ((to.known.get(record.peerId)?.seq ?? 0) < record.seq) to.known.set(record.peerId, record)
    this.look(to)
  }

  step(crashes: boolean): void {
    const chance = this.random()
    if (chance < 0.6 && this.delayed.length > 0) this.deliver(this.draw(this.delayed.length))
    else if (chance < 0.72) {
      this.time += this.draw(this.random() < 0.1 ? 30_000 : 1_500)
      for (const peer of this.peers) if (this.random() < 0.5) this.look(peer)
    } else if (chance < 0.82) {
      const peer = this.pick(this.peers)
      peer.target ??= this.drawSpan()
      this.look(peer)
    } else if (chance < 0.85) {
      const peer = this.pick(this.peers)
      peer.target = null
      this.look(peer)
    } else if (chance < 0.95) {
      // As while it asks, and with every refresh.
      const peer = this.pick(this.peers)
      if (peer.isAlive) this.publish(peer)
    } else if (crashes && chance < 0.96) {
      const peer = this.pick(this.peers)
      if (peer.isAlive) this.broken.set(peer.id, this.time)
      peer.isAlive = false
    }
  }
}

function saidBy(peer: ModelPeer): string {
  const { asks, promises = [] } = publishedPromises(peer.state, peer.now())
  return `${asks?.at} ${asks?.all} ${promises.map(({ to, at }) => `${to} ${at}`).join(' ')}`
}

function holds(span: Span, block: number): boolean {
  return span.start <= block && block < span.end
}

function run(seed: number, check: Check, { crashes = false, steps = 120 } = {}): Model {
  const model = new Model(seed, check)
  for (let step = 0; step < steps; step += 1) model.step(crashes)
  return model
}

describe('promises', () => {
  it('no interleaving of voluntary drops opens a hole', () => {
    let drops = 0
    for (let seed = 1; seed <= 3_000; seed += 1) {
      const model = run(seed, promised)
      expect([seed, model.holes]).toEqual([seed, []])
      drops += model.drops
    }
    expect(drops).toBeGreaterThan(3_000)
  })

  it.each([
    ['who goes by what others serve', seenElsewhere],
    ['who forgets its own promises', promisedByOthers],
  ])('%s opens holes', (_, check) => {
    let holes = 0
    for (let seed = 1; seed <= 300; seed += 1) holes += run(seed, check).holes.length
    expect(holes).toBeGreaterThan(0)
  })

  it('a block is left to nobody only when who promised to keep it crashed within the time of the promise', () => {
    let holes = 0
    for (let seed = 1; seed <= 1_000; seed += 1) {
      const model = new Model(seed, promised)
      for (let step = 0; step < 150; step += 1) {
        const before = model.holes.length
        model.step(true)
        if (model.holes.length === before) continue
        holes += 1
        const crashes = [...model.broken.values()]
        expect([seed, crashes.some((at) => model.time - at < FOR_MS)]).toEqual([seed, true])
      }
    }
    expect(holes).toBeGreaterThan(0)
  })

  it('where records come, one of two holders that want to go goes, within two rounds, and the other stays', () => {
    for (let seed = 1; seed <= 200; seed += 1) {
      const model = new Model(seed, promised, 0)
      model.peers.splice(2)
      const [a, b] = model.peers as [ModelPeer, ModelPeer]
      a.span = { start: 0, end: 2 }
      b.span = { start: 0, end: 2 }
      a.target = { start: 2, end: 4 }
      b.target = { start: 3, end: 5 }
      model.delayed.length = 0
      for (const peer of [a, b]) {
        peer.seq = 10
        peer.known.clear()
        model.publish(peer)
      }
      model.look(a)
      if (model.random() < 0.5) model.time += 100
      model.look(b)
      for (let count = 0; model.delayed.length > 0; count += 1) {
        model.time += 20
        model.deliver(model.draw(model.delayed.length))
        if (count > 50) throw new Error('does not settle')
      }
      expect([seed, model.drops, model.holes]).toEqual([seed, 1, []])
    }
  })

  it('two first holders answer at once, the others when the ask has waited, and each only once', () => {
    const asker = { peerId: 'x', seq: 1, state: 'online' as const, span: { start: 0, end: 2 } }
    const asks = { at: 5, forMs: FOR_MS, span: { start: 0, end: 2 } }
    const ids = ['a', 'b', 'c', 'd']
    const others = ids.map((peerId) => ({ ...asker, peerId }))
    const answers = (asked: typeof asks & { all?: true }) =>
      ids.filter((id) => {
        const records = [...others.filter(({ peerId }) => peerId !== id), { ...asker, asks: asked }]
        return lookAtPromises(NO_PROMISES, lookOf(id, records, 0)).given.length === 1
      })
    expect(answers(asks)).toEqual(['a', 'b'])
    expect(answers({ ...asks, all: true })).toEqual(ids)
    const records = [{ ...asker, asks }]
    const first = lookAtPromises(NO_PROMISES, lookOf('a', records, 0))
    expect(publishedPromises(first, 0)).toEqual({ promises: [{ to: 'x', at: 5 }] })
    const after = lookAtPromises(first, lookOf('a', records, FOR_MS + 1))
    expect(publishedPromises(after, FOR_MS + 1)).toEqual({})
    expect(lookAtPromises(after, lookOf('a', [{ ...asker, seq: 2 }], FOR_MS + 2)).given).toEqual([])
  })

  it('an ask that went before it was promised holds nobody when its asker says something newer', () => {
    const asker = { peerId: 'x', seq: 4, state: 'online' as const, span: { start: 0, end: 2 } }
    const asked = [{ ...asker, asks: { at: 5, forMs: FOR_MS, span: { start: 0, end: 2 } } }]
    const state = lookAtPromises(NO_PROMISES, lookOf('a', asked, 0))
    // An older record that a forgetful directory took again is no answer.
    expect(lookAtPromises(state, lookOf('a', [{ ...asker, seq: 3 }], 10)).given).toHaveLength(1)
    expect(lookAtPromises(state, lookOf('a', [], 10)).given).toHaveLength(1)
    expect(lookAtPromises(state, lookOf('a', [{ ...asker, seq: 5 }], 10)).given).toHaveLength(0)
  })
})

function lookOf(peerId: string, records: readonly StayRecord[], now: number) {
  return { peerId, records, holds: { start: 0, end: 2 }, wants: null, forMs: FOR_MS, now, stamp: now + 1 }
}
