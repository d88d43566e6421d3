/** Steps of a probe that the command line and a donor's page share: coming to a relay, and a second peer's way to the first. */
import { SwarmError } from '../swarm/errors.ts'
import type { RelayStatus, SwarmNode } from './types.ts'

const LOOK_EVERY_MS = 100

/** The first value that is not undefined, looked for until the time is over. @throws the signal's reason */
export async function until<T>(ms: number, look: () => T | undefined, signal?: AbortSignal): Promise<T | undefined> {
  const end = performance.now() + ms
  for (;;) {
    signal?.throwIfAborted()
    const value = look()
    if (value !== undefined || performance.now() >= end) return value
    await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS))
  }
}

/** A relay that took this peer or refused it; where none did in time, what is known of the first. */
export async function joined(node: SwarmNode, ms: number, signal?: AbortSignal): Promise<RelayStatus | undefined> {
  const isDecided = ({ state }: RelayStatus): boolean => state === 'connected' || state === 'refused'
  return (await until(ms, () => node.relays().find(isDecided), signal)) ?? node.relays()[0]
}

export interface PathOptions {
  asking: SwarmNode & { hasDirectTo(peerId: string): boolean }
  peerId: string
  /** How long a direct connection may still take after a relayed one stands. */
  patienceMs: number
  signal: AbortSignal
}

/** The way by which `asking` comes to a peer that serves; no session is opened. @throws SwarmError DIAL_FAILED, PEER_LOST */
export async function pathTo({ asking, peerId, patienceMs, signal }: PathOptions): Promise<'direct' | 'relayed'> {
  const stream = await asking.openInference(peerId, signal)
  const isDirect = stream.direct
  stream.abort(new SwarmError('CANCELLED', 'only a probe'))
  if (isDirect) return 'direct'
  const late = await until(patienceMs, () => asking.hasDirectTo(peerId) || undefined, signal)
  return late === true ? 'direct' : 'relayed'
}
