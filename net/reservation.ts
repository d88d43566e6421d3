/** Prolonging our reservation at a relay, by our own timer. */
import { RELAY_V2_HOP_CODEC } from '@libp2p/circuit-relay-v2'
import type { Connection } from '@libp2p/interface'
import { LpChannel } from './lp-channel.ts'

/**
 * Asks a relay to prolong our reservation: HopMessage{RESERVE}. The library does it by the relay's clock read on ours,
 * too late where ours is slow; a reservation that ends takes every circuit with it.
 */
export async function refreshReservation(connection: Connection): Promise<void> {
  const signal = AbortSignal.timeout(5_000)
  const stream = await connection.newStream(RELAY_V2_HOP_CODEC, { signal })
  const channel = new LpChannel(stream, { maxMessageBytes: 16 * 1024, maxQueuedBytes: 64 * 1024 })
  await channel.send(Uint8Array.of(0x08, 0x00))
  await channel.receive(signal)
  await channel.close()
}
