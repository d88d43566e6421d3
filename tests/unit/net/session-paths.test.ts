/** Which way a session's stream takes: direct where it comes about in time, else a circuit of its own, within the budgets. */
import type { Connection } from '@libp2p/interface'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { SessionPaths } from '../../../net/session-paths.ts'
import { SwarmError } from '../../../swarm/errors.ts'
import { DIRECT_RETRY_MS, RELAYED_AFTER_MS, RELAYED_BYTES_PER_HOUR } from '../../../swarm/limits.ts'
import { FakeLibp2p, IDS, type FakeConnection } from './fake-libp2p.ts'

const [SELF, PEER, OTHER] = IDS
const never = new AbortController().signal
const HOUR_MS = 3_600_000

beforeEach(() => {
  vi.useFakeTimers()
})
afterEach(() => {
  vi.useRealTimers()
})

/** A network in which everything comes about as told, and what was asked of the dialler. */
class Ways {
  readonly libp2p = new FakeLibp2p(SELF)
  readonly directDials: string[] = []
  readonly circuitDials: string[] = []
  readonly warmed: string[] = []
  /** What a direct dial does; by default it never ends. */
  onDirect: (peerId: string) => Promise<Connection> = () => new Promise(() => undefined)
  onCircuit: (peerId: string) => Promise<Connection> = (peerId) => Promise.resolve(this.openCircuit(peerId))
  /** What the relay lets a circuit carry; null: it says nothing. */
  circuitBytes: number | null = null
  readonly paths = new SessionPaths({
    dialler: {
      connect: (peerId) => {
        this.directDials.push(peerId)
        return this.onDirect(peerId)
      },
      dialSessionCircuit: (peerId) => {
        this.circuitDials.push(peerId)
        return this.onCircuit(peerId)
      },
      warm: (peerIds) => this.warmed.push(...peerIds),
    },
    direct: (peerId) => this.#direct(peerId),
    now: () => performance.now(),
  })

  openDirect(peerId: string): FakeConnection {
    return this.libp2p.open(peerId, 'webrtc')
  }

  openCircuit(peerId: string): FakeConnection {
    const listeners: (() => void)[] = []
    const connection = this.libp2p.open(peerId, 'circuit')
    return Object.assign(connection, {
      addEventListener: (_name: string, listener: () => void) => listeners.push(listener),
      end: () => {
        this.libp2p.lose(connection)
        for (const listener of listeners) listener()
      },
      ...(this.circuitBytes === null ? {} : { limits: { bytes: BigInt(this.circuitBytes) } }),
    })
  }

  /** A session's stream when everything has had the time it gets. */
  async session(peerId: string): Promise<Connection> {
    const connecting = this.paths.connect(peerId, never)
    connecting.catch(() => undefined)
    await vi.advanceTimersByTimeAsync(RELAYED_AFTER_MS)
    return await connecting
  }

  #direct(peerId: string): Connection | null {
    const isIt = ({ remoteAddr, remotePeer }: FakeConnection): boolean =>
      remotePeer.toString() === peerId && remoteAddr.toString().includes('webrtc')
    return this.libp2p.connections.find(isIt) ?? null
  }
}

const isRelayed = (connection: Connection): boolean => !connection.remoteAddr.toString().includes('webrtc')

describe('direct', () => {
  test('an open connection is taken at once, and nothing is dialled', async () => {
    const ways = new Ways()
    const open = ways.openDirect(PEER)
    expect(await ways.paths.connect(PEER, never)).toBe(open)
    expect([ways.directDials, ways.circuitDials]).toEqual([[], []])
  })

  test('one that comes about within its time is taken, without a circuit', async () => {
    const ways = new Ways()
    ways.onDirect = async (peerId) => {
      await new Promise((resolve) => setTimeout(resolve, RELAYED_AFTER_MS - 1))
      return ways.openDirect(peerId)
    }
    expect(isRelayed(await ways.session(PEER))).toBe(false)
    expect(ways.circuitDials).toEqual([])
  })

  test('one that comes about while the circuit is dialled goes before it, and nothing counts as failed', async () => {
    const ways = new Ways()
    ways.onCircuit = async (peerId) => {
      ways.openDirect(peerId)
      return ways.openCircuit(peerId)
    }
    expect(isRelayed(await ways.session(PEER))).toBe(false)
    expect(ways.paths.failures).toBe(0)
  })
})

describe('through a relay', () => {
  test('a circuit when no direct connection comes about; the next session takes the same one without waiting', async () => {
    const ways = new Ways()
    const first = await ways.session(PEER)
    expect(isRelayed(first)).toBe(true)
    expect(await ways.paths.connect(PEER, never)).toBe(first)
    expect([ways.directDials, ways.circuitDials, ways.warmed]).toEqual([[PEER], [PEER], []])
  })

  test('a direct dial that fails before its time is not waited for', async () => {
    const ways = new Ways()
    ways.onDirect = () => Promise.reject(new SwarmError('DIAL_FAILED', 'no way'))
    expect(isRelayed(await ways.paths.connect(PEER, never))).toBe(true)
  })

  test('two sessions at once share one circuit', async () => {
    const ways = new Ways()
    const [first, second] = await Promise.all([ways.session(PEER), ways.session(PEER)])
    expect(first).toBe(second)
    expect(ways.circuitDials).toEqual([PEER])
  })

  test('later the direct way is tried again beside the session, once a while, and taken when it stands', async () => {
    const ways = new Ways()
    await ways.session(PEER)
    await vi.advanceTimersByTimeAsync(DIRECT_RETRY_MS - 1)
    await ways.paths.connect(PEER, never)
    expect(ways.warmed).toEqual([])
    await vi.advanceTimersByTimeAsync(1)
    expect(isRelayed(await ways.paths.connect(PEER, never))).toBe(true)
    await ways.paths.connect(PEER, never)
    expect(ways.warmed).toEqual([PEER])
    const open = ways.openDirect(PEER)
    expect(await ways.paths.connect(PEER, never)).toBe(open)
    expect(ways.paths.failures).toBe(0)
  })

  test('a circuit that ended is not taken again', async () => {
    const ways = new Ways()
    const first = (await ways.session(PEER)) as FakeConnection & { end(): void }
    first.end()
    const second = await ways.paths.connect(PEER, never)
    expect(second).not.toBe(first)
    expect(ways.circuitDials).toEqual([PEER, PEER])
  })

  test('a circuit that is nearly used up takes no new session', async () => {
    const ways = new Ways()
    ways.circuitBytes = 1_000
    const first = await ways.session(PEER)
    ways.paths.count(first, 749)
    expect(await ways.paths.connect(PEER, never)).toBe(first)
    ways.paths.count(first, 1)
    expect(await ways.paths.connect(PEER, never)).not.toBe(first)
  })

  test('bytes of a circuit that was replaced do not use up the new one', async () => {
    const ways = new Ways()
    ways.circuitBytes = 1_000
    const first = await ways.session(PEER)
    ways.paths.count(first, 750)
    const second = await ways.paths.connect(PEER, never)
    ways.paths.count(first, 750)
    expect(await ways.paths.connect(PEER, never)).toBe(second)
  })

  test('an hour’s bytes are a budget over all peers, and the next hour has its own', async () => {
    const ways = new Ways()
    ways.paths.count(await ways.session(PEER), RELAYED_BYTES_PER_HOUR - 1)
    const other = await ways.session(OTHER)
    ways.paths.count(other, 1)
    await expect(ways.paths.connect(PEER, never)).rejects.toMatchObject({
      code: 'DIAL_FAILED',
      details: { budget: 'spent' },
      action: expect.stringMatching(/^It goes on in 60 min/) as string,
    })
    await vi.advanceTimersByTimeAsync(HOUR_MS)
    expect(isRelayed(await ways.session(PEER))).toBe(true)
  })
})

describe('neither', () => {
  test('what is said is why the direct connection did not come about', async () => {
    const ways = new Ways()
    ways.onDirect = () => Promise.reject(new SwarmError('DIAL_FAILED', 'nothing moves for three seconds'))
    ways.onCircuit = () => Promise.reject(new Error('no reservation'))
    await expect(ways.session(PEER)).rejects.toThrow('nothing moves for three seconds')
    expect(ways.paths.failures).toBe(0)
  })

  test('a circuit that fails where the direct one failed before is told in a sentence', async () => {
    const ways = new Ways()
    const first = (await ways.session(PEER)) as FakeConnection & { end(): void }
    first.end()
    ways.onCircuit = () => Promise.reject(new Error('no reservation'))
    await expect(ways.paths.connect(PEER, never)).rejects.toMatchObject({
      code: 'DIAL_FAILED',
      peerId: PEER,
      message: expect.stringContaining('through a relay: no reservation') as string,
    })
  })

  test('given up while the direct one is dialled: no circuit is dialled any more', async () => {
    const ways = new Ways()
    const aborter = new AbortController()
    const connecting = ways.paths.connect(PEER, aborter.signal)
    const failed = expect(connecting).rejects.toMatchObject({ code: 'CANCELLED' })
    aborter.abort()
    await vi.advanceTimersByTimeAsync(RELAYED_AFTER_MS)
    await failed
    expect(ways.circuitDials).toEqual([])
  })
})

test('peers that are gone for long are not remembered', async () => {
  const ways = new Ways()
  await ways.session(PEER)
  await vi.advanceTimersByTimeAsync(9 * 60_000)
  await ways.session(OTHER)
  expect(ways.paths.failures).toBe(2)
  await vi.advanceTimersByTimeAsync(2 * 60_000)
  await ways.paths.connect(OTHER, never)
  expect(ways.paths.failures).toBe(1)
})
