/** What Node 20 lacks and libp2p uses. On a newer Node the same is tested by taking it away first. */
import { createServer } from 'node:net'
import { afterEach, expect, test, vi } from 'vitest'

const scope = globalThis as { WebSocket?: typeof WebSocket | undefined }
const own = {
  withResolvers: Object.getOwnPropertyDescriptor(Promise, 'withResolvers'),
  WebSocket: scope.WebSocket,
}
afterEach(() => {
  Object.defineProperty(Promise, 'withResolvers', own.withResolvers ?? { value: undefined, configurable: true })
  Object.defineProperty(globalThis, 'WebSocket', { value: own.WebSocket, configurable: true, writable: true })
  vi.resetModules()
})

test('Promise.withResolvers is there, and settles its promise', async () => {
  Object.defineProperty(Promise, 'withResolvers', { value: undefined, configurable: true, writable: true })
  await import('../../../net/compat.ts')
  const kept = Promise.withResolvers<number>()
  kept.resolve(7)
  expect(await kept.promise).toBe(7)
  const broken = Promise.withResolvers<number>()
  broken.reject(new Error('no'))
  await expect(broken.promise).rejects.toThrow('no')
})

test('a global WebSocket is there, and one that is given up while it connects is no unhandled error', async () => {
  Object.defineProperty(globalThis, 'WebSocket', { value: undefined, configurable: true, writable: true })
  await import('../../../net/websocket-node.ts')
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as { port: number }
  // An error event that nobody listens to would fail this whole test run.
  const socket = new WebSocket(`ws://127.0.0.1:${port}/`)
  const closed = new Promise((resolve) => socket.addEventListener('close', resolve))
  socket.close()
  await closed
  await new Promise((resolve) => server.close(resolve))
})
