/** Framing: any cut of the bytes gives the same messages; a length is refused before its bytes are kept. */
import { streamPair } from '@libp2p/utils'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { LpChannel, withPrefix } from '../../../net/lp-channel.ts'

type Listener = (event: unknown) => void

/** The events of a libp2p stream that `LpChannel` listens to, fired by the test. */
class StubStream {
  status = 'open'
  readonly sent: Uint8Array[] = []
  hasRoom = true
  readonly #listeners = new Map<string, Set<Listener>>()

  addEventListener(type: string, listener: Listener): void {
    this.#listeners.set(type, (this.#listeners.get(type) ?? new Set()).add(listener))
  }
  removeEventListener(type: string, listener: Listener): void {
    this.#listeners.get(type)?.delete(listener)
  }
  fire(type: string, event: object = {}): void {
    for (const listener of this.#listeners.get(type) ?? []) listener(event)
  }
  data(bytes: Uint8Array): void {
    this.fire('message', { data: bytes })
  }
  send(bytes: Uint8Array): boolean {
    this.sent.push(bytes)
    return this.hasRoom
  }
  async close(): Promise<void> {
    this.status = 'closed'
  }
  abort(error: Error): void {
    if (this.status !== 'open') return
    this.status = 'aborted'
    this.fire('close', { error })
  }
}

function channel(maxMessageBytes = 1_000, maxQueuedBytes = 5_000): { stub: StubStream; lp: LpChannel } {
  const stub = new StubStream()
  return { stub, lp: new LpChannel(stub as never, { maxMessageBytes, maxQueuedBytes }) }
}

test('any cut of the bytes gives the same messages', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.uint8Array({ maxLength: 400 }), { maxLength: 8 }),
      fc.array(fc.integer({ min: 1, max: 50 }), { minLength: 1, maxLength: 200 }),
      async (messages, cuts) => {
        const { stub, lp } = channel()
        const all = Uint8Array.from(messages.flatMap((message) => [...withPrefix(message)]))
        for (let at = 0, i = 0; at < all.length; i += 1) {
          const length = cuts[i % cuts.length] ?? 1
          stub.data(all.subarray(at, at + length))
          at += length
        }
        for (const message of messages) expect(await lp.receive()).toEqual(message)
      },
    ),
  )
})

test.each([
  ['a length over the limit', Uint8Array.of(0xe9, 0x07), 'exceeds'],
  ['a length that does not end', new Uint8Array(6).fill(0x80), 'does not end'],
])('%s ends the stream before a byte of it is kept', async (_name, bytes, message) => {
  const { stub, lp } = channel()
  stub.data(bytes)
  expect(stub.status).toBe('aborted')
  await expect(lp.receive()).rejects.toMatchObject({ code: 'BAD_FRAME', message: expect.stringContaining(message) })
})

test('the longest allowed message passes', async () => {
  const { stub, lp } = channel()
  stub.data(withPrefix(new Uint8Array(1_000)))
  expect((await lp.receive())?.length).toBe(1_000)
})

test('what nobody reads ends the stream at the limit', async () => {
  const { stub } = channel(1_000, 2_500)
  for (let i = 0; i < 2; i += 1) stub.data(withPrefix(new Uint8Array(1_000)))
  expect(stub.status).toBe('open')
  stub.data(withPrefix(new Uint8Array(1_000)))
  expect(stub.status).toBe('aborted')
})

test('a clean end is null after what came before; an end inside a message and a reset are errors', async () => {
  const clean = channel()
  clean.stub.data(withPrefix(Uint8Array.of(1)))
  clean.stub.fire('remoteCloseWrite')
  expect(await clean.lp.receive()).toEqual(Uint8Array.of(1))
  expect(await clean.lp.receive()).toBeNull()
  const cut = channel()
  cut.stub.data(Uint8Array.of(5, 1, 2))
  cut.stub.fire('remoteCloseWrite')
  await expect(cut.lp.receive()).rejects.toMatchObject({ code: 'BAD_FRAME' })
  const reset = channel()
  const waiting = reset.lp.receive()
  reset.stub.fire('close', { error: new Error('reset') })
  await expect(waiting).rejects.toThrow('reset')
})

test('sending waits for room, in order, and fails when the stream closes instead', async () => {
  const { stub, lp } = channel()
  stub.hasRoom = false
  const order: number[] = []
  const first = lp.send(Uint8Array.of(1)).then(() => order.push(1))
  const second = lp.send(Uint8Array.of(2)).then(() => order.push(2))
  await new Promise((resolve) => setTimeout(resolve, 5))
  expect(stub.sent).toHaveLength(1)
  expect(order).toEqual([])
  stub.hasRoom = true
  stub.fire('drain')
  await Promise.all([first, second])
  expect(order).toEqual([1, 2])
  expect(stub.sent.map((bytes) => [...bytes])).toEqual([
    [1, 1],
    [1, 2],
  ])
  stub.hasRoom = false
  const lost = lp.send(Uint8Array.of(3))
  await new Promise((resolve) => setTimeout(resolve, 5))
  stub.abort(new Error('gone'))
  await expect(lost).rejects.toThrow('gone')
})

test('a reader that gives up leaves the next message to the next reader', async () => {
  const { stub, lp } = channel()
  const abort = new AbortController()
  const waiting = lp.receive(abort.signal)
  abort.abort(new Error('enough'))
  await expect(waiting).rejects.toThrow('enough')
  stub.data(withPrefix(Uint8Array.of(9)))
  expect(await lp.receive()).toEqual(Uint8Array.of(9))
})

test('two channels talk over the library’s own streams', async () => {
  const [a, b] = await streamPair()
  const options = { maxMessageBytes: 100_000, maxQueuedBytes: 1_000_000 }
  const left = new LpChannel(a, options)
  const right = new LpChannel(b, options)
  const big = Uint8Array.from({ length: 70_000 }, (_, i) => i % 251)
  await left.send(big)
  expect(await right.receive()).toEqual(big)
})
