/** A peer's news to its neighbours: one stream for all of it, the newest where several wait, and nobody waits for the dead. */
import type { Connection, Libp2p, Stream } from '@libp2p/interface'
import { streamPair } from '@libp2p/utils'
import { afterEach, expect, test, vi } from 'vitest'
import { DirectoryStore } from '../../../net/directory-store.ts'
import { JsonChannel } from '../../../net/json-channel.ts'
import { verifySignature } from '../../../net/record-crypto.ts'
import { RecordsExchange } from '../../../net/records-exchange.ts'

afterEach(() => void vi.useRealTimers())

type Answer = (stream: Stream) => void

async function exchange(taken: number[] = []): Promise<{ exchange: RecordsExchange; answer: Answer }> {
  let answer: Answer = () => undefined
  const libp2p = { handle: async (_: string, handler: Answer) => void (answer = handler) } as unknown as Libp2p
  const made = new RecordsExchange({
    libp2p,
    store: new DirectoryStore({ verify: verifySignature, now: Date.now }),
    onRecord: async (bytes) => void taken.push(bytes[0] ?? -1),
  })
  await made.start()
  return { exchange: made, answer }
}

/** To a neighbour that does with each stream what `answer` does. */
function connection(answer: Answer): { connection: Connection; opened: () => number } {
  let opened = 0
  const newStream = async (): Promise<Stream> => {
    opened += 1
    const [ours, theirs] = await streamPair()
    answer(theirs as Stream)
    return ours as Stream
  }
  return { connection: { status: 'open', newStream } as unknown as Connection, opened: () => opened }
}

const record = (byte: number): Uint8Array => Uint8Array.of(byte)

test('all of a peer’s news goes over one stream; of what waits for an answer, the newest', async () => {
  const taken: number[] = []
  const [{ exchange: teller }, { answer }] = [await exchange(), await exchange(taken)]
  const { connection: to, opened } = connection(answer)
  await teller.tell(to, record(1))
  await teller.tell(to, record(2))
  // The third is on its way when the others come.
  await Promise.all([3, 4, 5].map((byte) => teller.tell(to, record(byte))))
  expect(taken).toEqual([1, 2, 3, 5])
  expect(opened()).toBe(1)
})

test('a neighbour of an earlier version, which ends the stream with its answer, hears everything too', async () => {
  const taken: number[] = []
  const { exchange: teller } = await exchange()
  const { connection: to, opened } = connection((stream) => {
    void (async () => {
      const channel = new JsonChannel(stream)
      const request = (await channel.receive()) ?? {}
      taken.push(atob((request['records'] as string[])[0] as string).charCodeAt(0))
      await channel.send({ type: 'records', records: [] })
      await channel.close()
    })()
  })
  for (const byte of [1, 2, 3]) await teller.tell(to, record(byte))
  expect(taken).toEqual([1, 2, 3])
  expect(opened()).toBe(3)
})

test('a neighbour that does not answer is given up after some seconds, and told what is newest then', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] })
  // The time limit of a signal is not one of the timers that can be faked.
  vi.spyOn(AbortSignal, 'timeout').mockImplementation((ms) => {
    const aborter = new AbortController()
    setTimeout(() => aborter.abort(new Error('timeout')), ms)
    return aborter.signal
  })
  const heard: string[] = []
  const { exchange: teller } = await exchange()
  const { connection: to } = connection((stream) => {
    const channel = new JsonChannel(stream)
    void channel.receive().then((request) => heard.push(...((request?.['records'] ?? []) as string[])))
  })
  let isOver = false
  const told = teller.tell(to, record(1)).then(() => (isOver = true))
  await vi.advanceTimersByTimeAsync(4_000)
  void teller.tell(to, record(2))
  void teller.tell(to, record(3))
  expect([heard.map((text) => atob(text).charCodeAt(0)), isOver]).toEqual([[1], false])
  await vi.advanceTimersByTimeAsync(2_000)
  expect(heard.map((text) => atob(text).charCodeAt(0))).toEqual([1, 3])
  await vi.advanceTimersByTimeAsync(5_000)
  await told
  vi.restoreAllMocks()
})
