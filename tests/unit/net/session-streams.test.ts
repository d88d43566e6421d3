/** How a session's stream is opened: a refusal is a refusal, a connection that answers nothing is dialled anew. */
import type { Connection, Stream } from '@libp2p/interface'
import { expect, test } from 'vitest'
import { SessionStreams } from '../../../net/session-streams.ts'
import { INFERENCE_PROTOCOL } from '../../../swarm/protocol.ts'
import { FakeLibp2p, IDS, type FakeConnection } from './fake-libp2p.ts'

const [SELF, PEER] = IDS
const never = new AbortController().signal

/** Connections in the order in which they are found, each with what it makes of a new stream. */
class Network {
  readonly libp2p = new FakeLibp2p(SELF)
  readonly found: FakeConnection[] = []
  watchers = 0
  asked = 0
  /** Whether the peer answers a ping over the connection that has just failed. */
  lives = false
  readonly streams = new SessionStreams({
    paths: {
      connect: () => {
        const next = this.found.shift()
        return next === undefined ? Promise.reject(new Error('no way')) : Promise.resolve(next)
      },
      count: () => undefined,
    },
    liveness: {
      watch: () => {
        this.watchers += 1
        return () => (this.watchers -= 1)
      },
      ask: () => {
        this.asked += 1
        return Promise.resolve(this.lives)
      },
      heard: () => undefined,
    },
    peers: {
      direct: (peerId) => this.libp2p.getConnections({ toString: () => peerId }).at(-1) ?? null,
      suspect: () => Promise.resolve(),
    },
    onBytes: () => undefined,
  })

  connection(kind: 'webrtc' | 'circuit', takesStreams: boolean): FakeConnection {
    const connection = this.libp2p.open(PEER, kind)
    const newStream = (): Promise<Stream> =>
      takesStreams
        ? Promise.resolve({ addEventListener: () => undefined } as unknown as Stream)
        : Promise.reject(new Error('not taken'))
    Object.assign(connection, { newStream } satisfies Pick<Connection, 'newStream'>)
    this.found.push(connection)
    return connection
  }

  open(signal = never) {
    return this.streams.open(PEER, INFERENCE_PROTOCOL, signal, { isWatched: true })
  }
}

test('a stream that is taken is watched', async () => {
  const network = new Network()
  network.connection('webrtc', true)
  expect(await network.open()).toMatchObject({ peerId: PEER, direct: true })
  expect([network.watchers, network.asked]).toEqual([1, 0])
})

test('a peer that refuses a stream and answers has refused it', async () => {
  const network = new Network()
  const refusing = network.connection('webrtc', false)
  network.lives = true
  await expect(network.open()).rejects.toMatchObject({ code: 'PEER_LOST', peerId: PEER, retryable: true })
  expect([network.watchers, network.asked, refusing.wasAborted]).toEqual([0, 1, false])
})

test('a connection that takes no stream and answers nothing is cut, and the next one is tried once', async () => {
  const network = new Network()
  const dead = network.connection('webrtc', false)
  // What `paths` finds once the dead one is gone.
  const opening = network.open()
  const living = network.connection('webrtc', true)
  network.libp2p.connections.splice(network.libp2p.connections.indexOf(living), 1)
  expect(await opening).toMatchObject({ peerId: PEER })
  expect([network.watchers, network.asked, dead.wasAborted]).toEqual([1, 1, true])

  const worse = new Network()
  worse.connection('webrtc', false)
  const failing = worse.open()
  worse.libp2p.connections.splice(worse.libp2p.connections.indexOf(worse.connection('webrtc', false)), 1)
  await expect(failing).rejects.toMatchObject({ code: 'PEER_LOST' })
  expect(worse.watchers).toBe(0)
})

test('a connection that another has replaced is not asked after', async () => {
  const network = new Network()
  const old = network.connection('webrtc', false)
  network.connection('webrtc', true)
  expect(await network.open()).toMatchObject({ peerId: PEER })
  expect([network.asked, old.wasAborted]).toEqual([0, true])
})

test('a circuit that takes no stream is no sign of anything', async () => {
  const network = new Network()
  const circuit = network.connection('circuit', false)
  await expect(network.open()).rejects.toMatchObject({ code: 'PEER_LOST' })
  expect([network.asked, circuit.wasAborted]).toEqual([0, false])
})

test('who gave up is not told of losses', async () => {
  const network = new Network()
  const connection = network.connection('webrtc', false)
  await expect(network.open(AbortSignal.abort(new Error('given up')))).rejects.toThrow('not taken')
  expect([network.watchers, network.asked, connection.wasAborted]).toEqual([0, 0, false])
})
