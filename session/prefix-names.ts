/**
 * Names for the first tokens of a session, by which a hop finds the keys and values that another session of this peer left: a chain
 * of digests, one each STRIDE tokens, under a secret of this peer. So nobody learns from a name what the tokens are, nor whether two
 * peers say the same.
 */
import type { PrefixMessage } from '../swarm/codec.ts'
import { MAX_PREFIX_NAMES, MAX_PREFIX_NAME_CHARS } from '../swarm/limits.ts'
import type { PeerRecord } from '../swarm/peer-record.ts'
import type { RouteHop } from '../swarm/planner/types.ts'
import { kindOf } from './peer-kind.ts'

/** Of a system prompt at most so many tokens less one run again; a name takes as much room in a message as nine tokens. */
const STRIDE = 32

export class PrefixNamer {
  readonly #sha256: (bytes: Uint8Array) => Promise<Uint8Array>
  readonly #secret: Uint8Array

  /** `secret`: random, one for all chats of a peer. */
  constructor(sha256: (bytes: Uint8Array) => Promise<Uint8Array>, secret: Uint8Array) {
    this.#sha256 = sha256
    this.#secret = secret
  }

  /**
   * What each hop is told; null where `ids` are too few, or where a hop's rows change with the steps they come in: what it computed
   * for another session is then not what it would compute for this one. At least the last id is left to run.
   */
  async name(
    ids: readonly number[],
    hops: readonly RouteHop[],
    recordOf: (peerId: string) => PeerRecord | undefined,
  ): Promise<PrefixMessage[] | null> {
    const count = Math.min(MAX_PREFIX_NAMES, Math.floor((ids.length - 1) / STRIDE))
    if (count < 1 || hops.some(({ peerId }) => recordOf(peerId)?.exact === false)) return null
    const names: string[] = []
    let digest = this.#secret
    for (let i = 0; i < count; i += 1) {
      digest = await this.#next(digest, bytesOf(ids.slice(i * STRIDE, (i + 1) * STRIDE)))
      names.push(nameOf(digest))
    }
    const messages: PrefixMessage[] = []
    let source = await this.#next(this.#secret, new Uint8Array(1))
    for (const { peerId, span } of hops) {
      messages.push({ source: nameOf(source), stride: STRIDE, names })
      // Rows of the next hop hang on what this one computes with.
      const record = recordOf(peerId) ?? { weights: '', backend: '' }
      const hop = [peerId, span.start, span.end, record.weights, kindOf(record)].join(' ')
      source = await this.#next(source, new TextEncoder().encode(hop))
    }
    return messages
  }

  #next(digest: Uint8Array, more: Uint8Array): Promise<Uint8Array> {
    const bytes = new Uint8Array(digest.length + more.length)
    bytes.set(digest)
    bytes.set(more, digest.length)
    return this.#sha256(bytes)
  }
}

function nameOf(digest: Uint8Array): string {
  return Array.from(digest.subarray(0, MAX_PREFIX_NAME_CHARS / 2), (byte) => byte.toString(16).padStart(2, '0')).join(
    '',
  )
}

function bytesOf(ids: readonly number[]): Uint8Array {
  return new Uint8Array(Uint32Array.from(ids).buffer)
}
