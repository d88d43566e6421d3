/** What the browser's candidates come to: an address that others see, only one's own, or none. */
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { gatherAddresses } from '../../../../web/compose/ice-addresses.ts'

interface Candidate {
  type: string
  protocol: string
}

const HOST: Candidate = { type: 'host', protocol: 'udp' }
const HOST_TCP: Candidate = { type: 'host', protocol: 'tcp' }
const SEEN: Candidate = { type: 'srflx', protocol: 'udp' }
const STUN = [{ urls: 'stun:127.0.0.1:3478' }]

/** What the browser gathers; without `null` at its end it goes on asking. */
let gathers: (Candidate | null)[] = []
const made: FakeConnection[] = []

class FakeConnection extends EventTarget {
  isClosed = false
  channels = 0

  constructor() {
    super()
    made.push(this)
  }
  createDataChannel(): void {
    this.channels += 1
  }
  setLocalDescription(): Promise<void> {
    for (const candidate of this.channels === 0 ? [] : gathers) {
      this.dispatchEvent(Object.assign(new Event('icecandidate'), { candidate }))
    }
    return Promise.resolve()
  }
  close(): void {
    this.isClosed = true
  }
}

beforeEach(() => {
  made.length = 0
  vi.stubGlobal('RTCPeerConnection', FakeConnection)
})
afterEach(() => vi.unstubAllGlobals())

const never = new AbortController().signal

test.each<[string, (Candidate | null)[], string]>([
  ['STUN answered', [HOST, SEEN], 'public'],
  ['only its own', [HOST, HOST_TCP, null], 'local'],
  ['only TCP, by which no tab connects', [HOST_TCP, null], 'none'],
  ['nothing', [null], 'none'],
])('%s', async (_what, candidates, outcome) => {
  gathers = candidates
  expect(await gatherAddresses(STUN, never)).toEqual({ outcome, asked: true })
  expect(await gatherAddresses([], never)).toEqual({ outcome, asked: false })
  expect(made.map(({ isClosed }) => isClosed)).toEqual([true, true])
})

test('a STUN server that is silent is not waited for any longer than its time, nor after an end', async () => {
  gathers = [HOST]
  const ends = new AbortController()
  const within = vi.spyOn(AbortSignal, 'timeout').mockReturnValue(ends.signal)
  const gathering = gatherAddresses(STUN, never)
  ends.abort()
  expect(await gathering).toEqual({ outcome: 'local', asked: true })
  within.mockRestore()
  const stopped = new AbortController()
  const other = gatherAddresses(STUN, stopped.signal)
  stopped.abort()
  expect(await other).toEqual({ outcome: 'local', asked: true })
})
