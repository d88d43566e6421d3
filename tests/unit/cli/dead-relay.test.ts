import { createServer } from 'node:net'
import { expect, test } from 'vitest'
import { readRelayConfig } from '../../../cli/prompt/app-config.ts'

test('a forwarded port whose server is dead is no relay, and the question ends', async () => {
  const server = createServer((socket) => socket.destroy())
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('a TCP server has a port')
  try {
    expect(await readRelayConfig(`http://127.0.0.1:${address.port}`, new AbortController().signal)).toBeNull()
  } finally {
    server.close()
  }
})
