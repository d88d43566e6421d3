/** One question over a connection: does anybody answer at its other end? */
import type { Connection } from '@libp2p/interface'
import { byteStream } from '@libp2p/utils'

/** Of libp2p's own ping service, which every relay and peer runs. */
const PING_PROTOCOL = '/ipfs/ping/1.0.0'
const PING_BYTES = 32

export async function answersPing(connection: Connection, timeoutMs: number): Promise<boolean> {
  const signal = AbortSignal.timeout(timeoutMs)
  try {
    const stream = await connection.newStream(PING_PROTOCOL, { signal })
    const bytes = byteStream(stream)
    await bytes.write(new Uint8Array(PING_BYTES), { signal })
    await bytes.read({ bytes: PING_BYTES, signal })
    stream.abort(new Error('ping answered'))
    return true
  } catch {
    return false // No answer in time, or no connection any more.
  }
}
