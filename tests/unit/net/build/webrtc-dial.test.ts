/**
 * What the patch is for: a dial ends although the answering side closed the `init` channel early. The library's own
 * function, as Vitest and both builds get it (patched), over a peer connection whose channel follows a script.
 */
import { multiaddr } from '@multiformats/multiaddr'
import { expect, test, vi } from 'vitest'

const INITIATE = '../../../../node_modules/@libp2p/webrtc/dist/src/private-to-private/initiate-connection.js'
const RELAY = '/ip4/127.0.0.1/tcp/1/ws/p2p/12D3KooWGRUVh7TUkf9kbHaeVvHbzKZSbBLCKPVhGXPvb1pJMkEn'
const PEER = '12D3KooWK3Vdk9iuNAFyqnuyFaQyLfrdL5DVNxq2u2qQrJhDoXY4'

/** State of the channel when the candidates are through, and whether it tells of its close. */
const script = vi.hoisted(() => ({ state: 'open', tellsOfClose: true }))

vi.mock('../../../../node_modules/@libp2p/webrtc/dist/src/webrtc/index.js', () => {
  class Channel extends EventTarget {
    readyState = script.state
    close(): void {
      this.readyState = 'closed'
      if (script.tellsOfClose) queueMicrotask(() => this.dispatchEvent(new Event('close')))
    }
  }
  class RTCPeerConnection extends EventTarget {
    connectionState = 'connected'
    createDataChannel = () => new Channel()
    createOffer = async () => ({ type: 'offer', sdp: 'offer' })
    setLocalDescription = async () => undefined
    setRemoteDescription = async () => undefined
    close = () => undefined
  }
  return { RTCPeerConnection, RTCSessionDescription: class {} }
})
vi.mock('../../../../node_modules/@libp2p/webrtc/dist/src/private-to-private/util.js', () => ({
  readCandidatesUntilConnected: async () => undefined,
}))
vi.mock('@libp2p/utils', async (original) => ({
  ...(await original<object>()),
  // One message is read: the answer.
  pbStream: () => ({
    pb: () => ({ write: async () => undefined, read: async () => ({ type: 'SDP_ANSWER', data: 'answer' }) }),
  }),
}))

const quiet = Object.assign(() => undefined, { trace: () => undefined, error: () => undefined })

async function dial(): Promise<unknown> {
  const { initiateConnection } = (await import(INITIATE)) as {
    initiateConnection: (options: object) => Promise<{ remoteAddress: unknown }>
  }
  const stream = { close: async () => undefined, abort: () => undefined }
  const address = multiaddr(`${RELAY}/p2p-circuit/webrtc/p2p/${PEER}`)
  const { remoteAddress } = await initiateConnection({
    multiaddr: address,
    connectionManager: { getConnections: () => [{ newStream: async () => stream }] },
    transportManager: {},
    signal: AbortSignal.timeout(2_000),
    log: quiet,
    logger: { forComponent: () => quiet },
  })
  return remoteAddress === address
}

test.each([
  ['open until we close it', 'open', true],
  ['closed by the other side before we looked', 'closed', true],
  ['closed by the other side, whose event has already been', 'closed', false],
  ['closing when we looked', 'closing', true],
  ['open, and its close is never told', 'open', false],
] as const)('a dial ends with the init channel %s', async (_name, state, tellsOfClose) => {
  Object.assign(script, { state, tellsOfClose })
  expect(await dial()).toBe(true)
})
