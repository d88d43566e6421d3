/** A relay as a process: what it prints and that nothing keeps it alive after a stop; and TCP_NODELAY on its sockets. */
import { spawn } from 'node:child_process'
import { Socket } from 'node:net'
import { join } from 'node:path'
import { multiaddr } from '@multiformats/multiaddr'
import { build } from 'vite'
import { afterEach, expect, it, vi } from 'vitest'
import { atEnd, clientForTest, dial, relayForTest, reserved, temporaryFolder } from './support.ts'

afterEach(() => void vi.restoreAllMocks())

const ROOT = join(import.meta.dirname, '../../..')

/** Node 20 runs no TypeScript: one bundle with every package left outside, where packages are found from. */
async function bundled(): Promise<string> {
  const outDir = join(ROOT, 'node_modules/.cache/relay-process-test')
  await build({
    root: ROOT,
    configFile: false,
    logLevel: 'error',
    build: {
      ssr: join(import.meta.dirname, 'relay-process.ts'),
      outDir,
      target: 'node20',
      rollupOptions: { output: { entryFileNames: 'relay.mjs' } },
    },
  })
  return join(outDir, 'relay.mjs')
}

it('exits by itself when stopped with tabs connected: no timer, socket or watcher is left', async () => {
  const dataDir = await temporaryFolder()
  const models = join(ROOT, 'tests/fixtures/models')
  const child = spawn(process.execPath, [await bundled(), dataDir, models], { stdio: ['pipe', 'pipe', 'pipe'] })
  atEnd(async () => child.kill('SIGKILL'))
  let output = ''
  child.stdout.on('data', (part: Buffer) => (output += part.toString()))
  child.stderr.on('data', (part: Buffer) => (output += part.toString()))
  const exited = new Promise<number | null>((resolve) => child.on('exit', resolve))
  const started = await vi.waitFor(
    () => {
      const match = /started (\{.*\})/u.exec(output)
      if (match?.[1] === undefined) throw new Error(output)
      return JSON.parse(match[1]) as { port: number; peerId: string; addresses: string[] }
    },
    { timeout: 30_000, interval: 50 },
  )
  const client = await clientForTest({ reserve: true })
  const relay = {
    ...started,
    pageUrl: '',
    publicPageUrl: '',
    appConfig: () => Promise.reject(new Error('unused')),
    stop: async () => undefined,
  }
  await reserved(client, relay)
  const other = await clientForTest()
  await dial(other, relay)
  await other.libp2p.dial(multiaddr(`${relay.addresses[0] ?? ''}/p2p-circuit/p2p/${client.peerId}`))
  const before = performance.now()
  child.stdin.end('stop\n')
  expect(await exited, output).toBe(0)
  expect(performance.now() - before).toBeLessThan(4_000)
  expect(output).toContain('DHT visible multiaddrs (use for --dht_initial_peers): [')
}, 60_000)

it('sets TCP_NODELAY on the sockets of the swarm, on both ends of a link', async () => {
  const noDelay = vi.spyOn(Socket.prototype, 'setNoDelay')
  const first = await relayForTest()
  const second = await relayForTest({ dhtInitialPeers: first.addresses.join(',') })
  noDelay.mockClear()
  const client = await clientForTest()
  await dial(client, second)
  const accepted = noDelay.mock.contexts.filter((socket) => (socket as Socket).localPort === second.port)
  expect(accepted.length).toBeGreaterThan(0)
  expect(noDelay.mock.calls.every(([on]) => on !== false)).toBe(true)
})
