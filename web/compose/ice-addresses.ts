/** Asks the browser which addresses it would offer another tab, and the STUN servers which one they see. */
import type { AddressFinding } from '../../swarm/reach.ts'

/** STUN answers in a round trip; a browser goes on asking a silent server for far longer. */
const GATHER_MS = 5_000

export async function gatherAddresses(
  iceServers: readonly { urls: string | string[] }[],
  signal: AbortSignal,
): Promise<AddressFinding> {
  const asked = iceServers.length > 0
  const connection = new RTCPeerConnection({ iceServers: iceServers.map(({ urls }) => ({ urls })) })
  try {
    // Without something to carry nothing is gathered.
    connection.createDataChannel('addresses')
    const gathering = new Promise<AddressFinding['outcome']>((resolve) => {
      let best: AddressFinding['outcome'] = 'none'
      const done = (): void => resolve(best)
      connection.addEventListener('icecandidate', ({ candidate }) => {
        if (candidate === null) done()
        else if (candidate.type === 'srflx' || candidate.type === 'prflx') {
          best = 'public'
          done()
          // What is offered over TCP is for servers: no tab connects to another by it.
        } else if (candidate.type === 'host' && candidate.protocol === 'udp') best = 'local'
      })
      const over = AbortSignal.any([signal, AbortSignal.timeout(GATHER_MS)])
      over.addEventListener('abort', done, { once: true })
      if (over.aborted) done()
    })
    await connection.setLocalDescription()
    return { outcome: await gathering, asked }
  } finally {
    connection.close()
  }
}
