/**
 * Which peers a requesting peer leaves out of its routes, and until when. Bans are this peer's own memory and are told to
 * nobody. A peer that was lost or had no room is tried again as soon as it announces itself afresh: a tab that comes back
 * is wanted. One that could not be reached is tried again soon: it may be the only holder of its blocks, and a busy machine
 * or a network that hiccups fails dials; and at once when it names a relay that it was not reached by: its own had died, and
 * it has come to another. Where there is no route without it, it is tried every few seconds. One that sent wrong answers waits out its time.
 */
import { BAN_BASE_MS, BAN_MAX_MS } from '../swarm/limits.ts'
import type { PeerRecord } from '../swarm/peer-record.ts'

export type BanReason = 'lost' | 'refused' | 'unreachable' | 'fault'

/** First ban and longest one, ms. */
const BAN_MS: Readonly<Record<BanReason, readonly [base: number, max: number]>> = {
  lost: [BAN_BASE_MS, BAN_MAX_MS],
  fault: [BAN_BASE_MS, BAN_MAX_MS],
  /** Busy, cache full, moving: often over in a moment, and costs one round trip to find out. */
  refused: [500, 15_000],
  /** A failed dial has cost seconds by itself already. */
  unreachable: [2_000, 60_000],
}

/** Whoever is needed for every route is tried again after so long. */
const LAST_RESORT_MS = 5_000

interface Ban {
  reason: BanReason
  since: number
  until: number
  strikes: number
  /** Sequence of the record the peer had when it was banned; a higher one is a sign of life after it. */
  seq: number
  /** Relays that this record named. */
  relays: readonly string[]
}

export class Bans {
  readonly #bans = new Map<string, Ban>()

  /** The ban doubles with each one in a row, within the bounds of its reason. `record`: the peer's record now. */
  ban(peerId: string, reason: BanReason, nowMs: number, record: PeerRecord | undefined): void {
    const strikes = (this.#bans.get(peerId)?.strikes ?? 0) + 1
    const [base, max] = BAN_MS[reason]
    const until = nowMs + Math.min(max, base * 2 ** (strikes - 1))
    this.#bans.set(peerId, {
      reason,
      since: nowMs,
      until,
      strikes,
      seq: record?.seq ?? 0,
      relays: record?.relays ?? [],
    })
  }

  /** The peer answered: its next ban starts from the base again. */
  forgive(peerId: string): void {
    this.#bans.delete(peerId)
  }

  /** Peers among `records` that are not to be used now. `isNeeded`: there is no route without some of those that are left out otherwise. */
  excluded(records: readonly PeerRecord[], nowMs: number, isNeeded = false): Set<string> {
    const excluded = new Set<string>()
    for (const record of records) {
      const ban = this.#bans.get(record.peerId)
      if (ban === undefined || ban.until <= nowMs) continue
      const isLastResort = isNeeded && ban.reason !== 'fault' && nowMs >= ban.since + LAST_RESORT_MS
      if (!isLastResort && !isBack(ban, record)) excluded.add(record.peerId)
    }
    return excluded
  }

  reasonOf(peerId: string, nowMs: number): BanReason | null {
    const ban = this.#bans.get(peerId)
    return ban === undefined || ban.until <= nowMs ? null : ban.reason
  }

  /** Milliseconds until the next ban ends; null when there is none. */
  nextEndMs(nowMs: number): number | null {
    const ends = [...this.#bans.values()].filter((ban) => ban.until > nowMs).map((ban) => ban.until - nowMs)
    return ends.length === 0 ? null : Math.min(...ends)
  }
}

function isBack(ban: Ban, record: PeerRecord): boolean {
  if (record.seq <= ban.seq) return false
  if (ban.reason === 'unreachable') return record.relays.some((relay) => !ban.relays.includes(relay))
  return ban.reason === 'lost' || ban.reason === 'refused'
}
