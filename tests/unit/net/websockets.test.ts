/** Why a relay closed reaches whoever dialled it. */
import type { Transport } from '@libp2p/interface'
import { multiaddr } from '@multiformats/multiaddr'
import { expect, test } from 'vitest'
import { CLOSE_REFUSED, explain } from '../../../net/websockets.ts'

const RELAY = multiaddr('/ip4/127.0.0.1/tcp/1/ws')

/** A library whose dial fails when its socket closes. */
function library(code: number, reason: string): Transport {
  return {
    async _connect() {
      const socket = Object.assign(new EventTarget(), { close: () => undefined })
      setTimeout(() => socket.dispatchEvent(Object.assign(new Event('close'), { code, reason })))
      return socket
    },
    async dial(this: { _connect(address: unknown): Promise<EventTarget> }, address: unknown) {
      const socket = await this._connect(address)
      await new Promise((resolve) => socket.addEventListener('close', resolve))
      throw new Error('Unexpected EOF')
    },
  } as unknown as Transport
}

const dial = (transport: Transport): Promise<unknown> => transport.dial(RELAY, {} as Parameters<Transport['dial']>[1])

test('a refusal is said in the relay’s words, without characters that steer a terminal', async () => {
  const refused = dial(explain(library(CLOSE_REFUSED, 'max-connections: this relay is full\u001b[2J')))
  await expect(refused).rejects.toMatchObject({
    code: 'RELAY_REFUSED',
    retryable: true,
    message: 'The relay refused the connection: max-connections: this relay is full [2J.',
  })
})

test('any other end is what the library says', async () => {
  await expect(dial(explain(library(1006, 'gone')))).rejects.toThrow('Unexpected EOF')
})

test.each([1006, undefined, 1001])(
  'an aborted connection ends its socket, whatever code (%s) the library gives',
  async (code) => {
    let isOpen = true
    const transport = explain({
      async _connect() {
        return Object.assign(new EventTarget(), {
          close(given?: number) {
            // As browsers do.
            if (given !== undefined && given !== 1000 && (given < 3000 || given > 4999))
              throw new Error('InvalidAccessError')
            isOpen = false
          },
        })
      },
      async dial(this: { _connect(address: unknown): Promise<WebSocket> }, address: unknown) {
        return this._connect(address)
      },
    } as unknown as Transport)
    const socket = (await dial(transport)) as WebSocket
    socket.close(code)
    expect(isOpen).toBe(false)
  },
)

test('a library that makes its sockets elsewhere is noticed at once', () => {
  expect(() => explain({} as Transport)).toThrow(/_connect/u)
})
