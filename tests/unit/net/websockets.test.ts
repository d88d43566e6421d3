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
      const socket = new EventTarget()
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

test('a library that makes its sockets elsewhere is noticed at once', () => {
  expect(() => explain({} as Transport)).toThrow(/_connect/u)
})
