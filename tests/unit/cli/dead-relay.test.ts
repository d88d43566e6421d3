import { createServer, type Server as HttpServer } from 'node:http'
import { createServer as createTcpServer, type Server } from 'node:net'
import { afterEach, expect, test } from 'vitest'
import { readRelayConfig, readRelayConfigs } from '../../../cli/prompt/app-config.ts'

const servers: (Server | HttpServer)[] = []
afterEach(() => servers.splice(0).forEach((server) => server.close()))

async function portOf(server: Server | HttpServer): Promise<number> {
  servers.push(server)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('a TCP server has a port')
  return address.port
}

const addressOf = (port: number): string => `/ip4/127.0.0.1/tcp/${port}/ws/p2p/12D3KooWx`

/** Answers when `ready` resolves. */
function relay(ready: Promise<void> = Promise.resolve()): Promise<number> {
  const config = { version: '1.0', relays: [], models: [], hubUrl: '', iceServers: [] }
  return portOf(createServer((_, response) => void ready.then(() => response.end(JSON.stringify(config)))))
}

const silent = (): Promise<number> => portOf(createTcpServer((socket) => void socket.on('error', () => undefined)))

test('a forwarded port whose server is dead is no relay, and the question ends', async () => {
  const port = await portOf(createTcpServer((socket) => socket.destroy()))
  expect(await readRelayConfig(`http://127.0.0.1:${port}`, new AbortController().signal)).toBeNull()
})

test('a relay that is slow to answer is waited for, when no other has answered', async () => {
  let answer = (): void => undefined
  const port = await relay(new Promise((resolve) => (answer = resolve)))
  // No time for others at all: the first is not under it.
  const entries = readRelayConfigs([addressOf(port)], new AbortController().signal, { othersMs: 0, patienceMs: 30_000 })
  answer()
  expect((await entries).map(({ origin }) => origin)).toEqual([`http://127.0.0.1:${port}`])
})

test('one that never answers holds nothing up where another does', async () => {
  const [dead, live] = [await silent(), await relay()]
  const addresses = [addressOf(dead), addressOf(live)]
  // Patience without end: only the answer of the other ends it.
  const options = { othersMs: 20, patienceMs: 2 ** 30 }
  const entries = await readRelayConfigs(addresses, new AbortController().signal, options)
  expect(entries.map(({ origin }) => origin)).toEqual([`http://127.0.0.1:${live}`])
})

test('where none answers there is none', async () => {
  const signal = new AbortController().signal
  expect(await readRelayConfigs([addressOf(await silent())], signal, { patienceMs: 50 })).toEqual([])
})

test('an interrupt ends the question', async () => {
  const interrupt = new AbortController()
  const entries = readRelayConfigs([addressOf(await silent())], interrupt.signal)
  interrupt.abort(new Error('interrupted'))
  await expect(entries).rejects.toThrow('interrupted')
})
