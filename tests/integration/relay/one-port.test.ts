/** One public port: page, configuration, health, metrics, mirror and the swarm's WebSocket, with the headers of each. */
import { mkdir, readFile, stat, writeFile } from 'node:fs/promises'
import { request } from 'node:http'
import { join } from 'node:path'
import { multiaddr } from '@multiformats/multiaddr'
import { expect, it } from 'vitest'
import { WebSocket } from 'ws'
import type { AppConfig } from '../../../swarm/app-config.ts'
import { createLog } from '../../../relay/log.ts'
import { makeRelayConfig } from '../../../relay/config.ts'
import { startPageServer } from '../../../relay/page-server.ts'
import { startRelay } from '../../../relay/relay.ts'
import { clientForTest, dial, relayForTest, temporaryFolder, atEnd } from './support.ts'

async function builtPage(): Promise<string> {
  const root = await temporaryFolder()
  await mkdir(join(root, 'assets'))
  await writeFile(join(root, 'index.html'), '<!doctype html><title>page</title>')
  await writeFile(join(root, 'assets', 'main-1a2b.js'), 'export {}')
  await writeFile(join(root, '.secret'), 'no')
  return root
}

/** With any Host header, which `fetch` does not allow. */
function get(
  port: number,
  path: string,
  headers: Record<string, string> = {},
): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    const req = request({ host: '127.0.0.1', port, path, headers, agent: false }, (res) => {
      let text = ''
      res.setEncoding('utf8')
      res.on('data', (part: string) => (text += part))
      res.on('end', () => resolve({ status: res.statusCode ?? 0, text }))
    })
    req.on('error', reject)
    req.end()
  })
}

it('serves page, config, health, metrics and WebSocket on one port', async () => {
  const webRoot = await builtPage()
  const relay = await relayForTest({}, { webRoot })
  const base = `http://127.0.0.1:${relay.port}`
  expect(relay.pageUrl).toBe(`${base}/`)

  const page = await fetch(`${base}/?donate`)
  expect(page.status).toBe(200)
  expect(page.headers.get('content-type')).toContain('text/html')
  expect(page.headers.get('cache-control')).toBe('no-cache')
  const asset = await fetch(`${base}/assets/main-1a2b.js`)
  expect(asset.headers.get('cache-control')).toContain('immutable')
  expect(asset.headers.get('content-type')).toContain('text/javascript')
  const again = await fetch(`${base}/`, { headers: { 'if-none-match': page.headers.get('etag') ?? '' } })
  expect(again.status).toBe(304)

  const config = (await (await fetch(`${base}/config.json`)).json()) as AppConfig
  expect(config.relays).toEqual(relay.addresses)
  expect(config).toEqual(await relay.appConfig())
  expect(await (await fetch(`${base}/healthz`)).text()).toBe('ok\n')
  expect((await fetch(`${base}/readyz`)).status).toBe(200)
  const metrics = await (await fetch(`${base}/metrics`)).text()
  expect(metrics).toContain('tabswarm_relay_connections 0')
  expect(metrics).not.toMatch(/127\.0\.0\.1|12D3/u)

  const client = await clientForTest()
  await dial(client, relay)
  expect(client.libp2p.getConnections().map((c) => c.remotePeer.toString())).toEqual([relay.peerId])
  expect(await (await fetch(`${base}/metrics`)).text()).toContain('tabswarm_relay_connections 1')
})

it('sends strict headers with the page', async () => {
  const relay = await relayForTest(
    { hubUrl: 'http://127.0.0.1:9', hubCdn: ['https://cdn.example.org'] },
    { webRoot: await builtPage() },
  )
  const { headers } = await fetch(relay.pageUrl)
  const csp = headers.get('content-security-policy') ?? ''
  expect(csp).toContain("default-src 'none'")
  expect(csp).toContain("script-src 'self' 'wasm-unsafe-eval';")
  expect(csp).toContain("require-trusted-types-for 'script'")
  expect(csp).toContain('trusted-types tabswarm')
  expect(csp).toContain("frame-ancestors 'none'")
  // Compiling WebAssembly is not evaluating text.
  expect(csp).not.toMatch(/'unsafe-/)
  const connect = csp.split('; ').find((part) => part.startsWith('connect-src')) ?? ''
  for (const source of [
    "'self'",
    'ws:',
    'wss:',
    'https://huggingface.co',
    'https://*.hf.co',
    'http://127.0.0.1:9',
    'https://cdn.example.org',
  ]) {
    expect(connect.split(' ')).toContain(source)
  }
  expect(headers.get('cross-origin-opener-policy')).toBe('same-origin')
  expect(headers.get('cross-origin-embedder-policy')).toBe('require-corp')
  expect(headers.get('x-content-type-options')).toBe('nosniff')
  expect(headers.get('referrer-policy')).toBe('no-referrer')
  expect(headers.get('permissions-policy')).toContain('camera=()')
})

it('answers only under its own names', async () => {
  const relay = await relayForTest({ publicHost: ['swarm.example.org'] }, { webRoot: await builtPage() })
  for (const host of [
    'localhost:1',
    'tabswarm.localhost',
    '192.0.2.7:80',
    '[::1]:9',
    'swarm.example.org',
    'SWARM.example.org:8080',
  ]) {
    expect((await get(relay.port, '/healthz', { host })).status, host).toBe(200)
  }
  for (const host of ['evil.example.org', 'localhost.evil.org', 'swarm.example.org.evil', 'a b']) {
    expect((await get(relay.port, '/healthz', { host })).status, host).toBe(421)
  }
})

it('shows metrics to this machine only, and files of the page only', async () => {
  const relay = await relayForTest({}, { webRoot: await builtPage() })
  expect((await get(relay.port, '/metrics')).status).toBe(200)
  expect((await get(relay.port, '/metrics', { host: '192.0.2.7' })).status).toBe(403)
  expect((await get(relay.port, '/metrics', { 'x-forwarded-for': '192.0.2.7' })).status).toBe(403)
  for (const path of ['/.secret', '/../package.json', '/%2e%2e/%2e%2e/etc/passwd', '/assets/', '/nothing', '/%00']) {
    expect((await get(relay.port, path)).status, path).toBe(404)
  }
  expect((await fetch(relay.pageUrl, { method: 'POST' })).status).toBe(405)
})

it.each(['text', 'json'] as const)(
  'writes no token, key or query into its log, whatever comes (%s)',
  async (logFormat) => {
    const lines: string[] = []
    const dataDir = await temporaryFolder()
    const config = makeRelayConfig(
      { port: 0, host: '127.0.0.1', modelsDir: [await temporaryFolder()], maxHttpBody: 10, logFormat },
      { dataDir, webRoot: await builtPage() },
    )
    const relay = await startRelay(
      config,
      createLog(logFormat, (line) => lines.push(line)),
    )
    atEnd(() => relay.stop({ announce: false }))
    const secret = 'hf_verysecretvalue'
    const headers = { authorization: `Bearer ${secret}`, cookie: `token=${secret}` }
    for (const path of [
      `/?token=${secret}`,
      `/hub/a/resolve/main/b?token=${secret}`,
      `/config.json?prompt=${secret}`,
    ]) {
      await get(relay.port, path, headers)
    }
    await fetch(`${relay.pageUrl}hub/api/models/x/paths-info/main`, { method: 'POST', headers, body: secret })
    const socket = new WebSocket(`ws://127.0.0.1:${relay.port}/?token=${secret}`, { headers })
    atEnd(async () => socket.terminate())
    await new Promise<void>((resolve, reject) => {
      socket.once('open', () => resolve())
      socket.once('error', reject)
    })
    socket.send(secret)
    await new Promise<void>((resolve) => socket.once('close', () => resolve()))
    // A request that fails in the server itself is logged with its path.
    const broken = await startPageServer({
      webRoot: null,
      appConfig: () => Promise.reject(new Error('broken on purpose')),
      host: '127.0.0.1',
      port: 0,
      log: createLog(logFormat, (line) => lines.push(line)),
    })
    atEnd(() => broken.stop())
    expect((await get(broken.port, `/config.json?token=${secret}`, headers)).status).toBe(500)
    const log = lines.join('')
    expect(log).toContain('max-http-body')
    expect(log).toContain('broken on purpose')
    expect(log).not.toContain(secret)
    expect(log).not.toContain((await readFile(join(dataDir, 'relay-key'), 'utf8')).trim())
    if (logFormat === 'json') for (const line of lines) expect(() => JSON.parse(line) as unknown).not.toThrow()
  },
)

it('survives a page that is rebuilt while it runs', async () => {
  const webRoot = await builtPage()
  const relay = await relayForTest({}, { webRoot })
  await writeFile(join(webRoot, 'index.html'), '<!doctype html><title>newer page</title>')
  expect(await (await fetch(relay.pageUrl)).text()).toContain('newer page')
  await writeFile(join(webRoot, 'assets', 'main-2b3c.js'), 'export const a = 1')
  expect((await fetch(`${relay.pageUrl}assets/main-2b3c.js`)).status).toBe(200)
})

it('prints the line of the original with an address that works when pasted', async () => {
  const relay = await relayForTest({ publicIp: ['203.0.113.7'], publicPort: 22452 })
  const line = relay.lines.find((text) => text.startsWith('DHT visible multiaddrs'))
  expect(line).toBe(
    `DHT visible multiaddrs (use for --dht_initial_peers): ['/ip4/203.0.113.7/tcp/22452/ws/p2p/${relay.peerId}']\n`,
  )
  const local = await relayForTest()
  expect(() => multiaddr(local.addresses[0] ?? '')).not.toThrow()
  expect(local.lines.join('')).toContain(`['/ip4/127.0.0.1/tcp/${local.port}/ws/p2p/${local.peerId}']`)
})

it('keeps its identity in a file that only its owner can read', async () => {
  const dataDir = await temporaryFolder()
  const first = await relayForTest({ dataDir })
  const file = join(dataDir, 'relay-key')
  expect((await stat(file)).mode & 0o777).toBe(0o600)
  expect(first.lines.join('')).toContain(file)
  expect(first.lines.join('')).not.toContain((await readFile(file, 'utf8')).trim())
  await first.stop()
  const second = await relayForTest({ dataDir })
  expect(second.peerId).toBe(first.peerId)
  await writeFile(join(dataDir, 'bad'), 'not a key')
  await expect(relayForTest({ dataDir, keyFile: join(dataDir, 'bad') })).rejects.toMatchObject({ code: 'BAD_OPTION' })
})

it('says that a port is taken, and frees its own within two seconds with peers connected', async () => {
  const relay = await relayForTest()
  await expect(relayForTest({ port: relay.port })).rejects.toMatchObject({
    code: 'PORT_TAKEN',
    message: `Port ${relay.port} on 127.0.0.1 is taken by another program.`,
    action: expect.stringContaining('--port') as string,
  })
  const client = await clientForTest()
  await dial(client, relay)
  const keptAlive = await fetch(`${relay.pageUrl}healthz`)
  await keptAlive.text()
  const before = performance.now()
  await relay.stop()
  expect(performance.now() - before).toBeLessThan(2_000)
  const next = await relayForTest({ port: relay.port })
  expect(next.port).toBe(relay.port)
})

it('serves a page alone, for a headless tab', async () => {
  const webRoot = await builtPage()
  const appConfig: AppConfig = {
    version: '1.0',
    relays: [],
    models: [],
    hubUrl: 'https://huggingface.co',
    iceServers: [],
    donor: {},
  }
  const log = createLog('text', () => undefined)
  const server = await startPageServer({ webRoot, appConfig: () => appConfig, host: '127.0.0.1', port: 0, log })
  atEnd(() => server.stop())
  expect(await (await fetch(`${server.url}config.json`)).json()).toEqual(appConfig)
  expect((await get(server.port, '/', { host: 'tabswarm.localhost' })).status).toBe(200)
  expect((await fetch(`${server.url}hub/api/models/x`)).status).toBe(404)
})

it('sends the page compressed to who takes it, the same bytes plain to who does not, and 304 to who has them', async () => {
  const webRoot = await builtPage()
  const script = `export const words = ${JSON.stringify('a longer script, '.repeat(300))}\n`
  await writeFile(join(webRoot, 'assets', 'long-3c4d.js'), script)
  const relay = await relayForTest({}, { webRoot })
  const at = (encoding: string, headers: Record<string, string> = {}): Promise<Response> =>
    fetch(`${relay.pageUrl}assets/long-3c4d.js`, { headers: { 'accept-encoding': encoding, ...headers } })
  for (const encoding of ['gzip', 'br, gzip;q=0.8']) {
    const packed = await at(encoding)
    expect(packed.headers.get('content-encoding')).toBe('gzip')
    expect(Number(packed.headers.get('content-length'))).toBeLessThan(script.length / 5)
    expect(packed.headers.get('vary')).toBe('accept-encoding')
    expect(await packed.text()).toBe(script)
    const etag = packed.headers.get('etag') ?? ''
    expect((await at(encoding, { 'if-none-match': etag })).status).toBe(304)
  }
  for (const encoding of ['identity', 'br', 'gzip;q=0']) {
    const plain = await at(encoding)
    expect(plain.headers.get('content-encoding')).toBeNull()
    expect(plain.headers.get('content-length')).toBe(String(script.length))
    expect(await plain.text()).toBe(script)
  }
  // A newer build is never answered with what was kept of the older one.
  await writeFile(join(webRoot, 'assets', 'long-3c4d.js'), `${script}// renewed\n`)
  expect(await (await at('gzip')).text()).toContain('renewed')
})
