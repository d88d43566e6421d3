/**
 * Circuits are for peers of this swarm's protocol only, so that the relay is no tunnel for whatever else speaks libp2p. What a
 * peer speaks is what its identify message says, which it sends by itself when it connects; whoever asks for a circuit in the
 * same moment is waited for.
 */
import type { IdentifyResult, Libp2p, PeerId } from '@libp2p/interface'
import { LIVENESS_PROTOCOL } from '../../swarm/protocol.ts'
import type { Refusal } from './admission.ts'

const IDENTIFY_MS = 3_000

export class Members {
  readonly #libp2p: Libp2p
  readonly #waiting = new Map<string, Set<() => void>>()

  constructor(libp2p: Libp2p) {
    this.#libp2p = libp2p
    libp2p.addEventListener('peer:identify', (event: CustomEvent<IdentifyResult>) => {
      for (const resolve of this.#waiting.get(event.detail.peerId.toString()) ?? []) resolve()
    })
  }

  /** Null when both speak the swarm's protocol. */
  async refuse(source: PeerId, target: PeerId): Promise<Refusal | null> {
    for (const peer of [source, target]) {
      if (await this.#isMember(peer)) continue
      const text = `peer ${peer.toString()} does not speak ${LIVENESS_PROTOCOL}; only peers of a swarm are connected here`
      return { limit: 'stranger', text }
    }
    return null
  }

  async #isMember(peer: PeerId): Promise<boolean> {
    if (await this.#speaks(peer)) return true
    await this.#identified(peer.toString())
    return this.#speaks(peer)
  }

  async #speaks(peer: PeerId): Promise<boolean> {
    if (this.#libp2p.getConnections(peer).length === 0) return false
    const known = await this.#libp2p.peerStore.get(peer).catch(() => null)
    return known !== null && known.protocols.includes(LIVENESS_PROTOCOL)
  }

  async #identified(peerId: string): Promise<void> {
    await new Promise<void>((resolve) => {
      const waiting = this.#waiting.get(peerId) ?? new Set()
      const done = (): void => {
        clearTimeout(timer)
        waiting.delete(done)
        if (waiting.size === 0) this.#waiting.delete(peerId)
        resolve()
      }
      const timer = setTimeout(done, IDENTIFY_MS)
      timer.unref()
      this.#waiting.set(peerId, waiting.add(done))
    })
  }
}
