/** The HTTP half under people who mean no good: slow heads, endless bodies, paths that climb, and crowds that only sit. */
import { cp, mkdir, writeFile } from 'node:fs/promises'
import { connect, type Socket } from 'node:net'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { WebSocket } from 'ws'
import { atEnd, relayForTest, temporaryFolder, type TestRelay } from './support.ts'

const FIXTURE = join(import.meta.dirname, '../../fixtures/models/mha-f16')

async function open(relay: TestRelay): Promise<{ socket: Socket; answer: () => string; ended: Promise<void> }> {
  const socket = connect(relay.port, '127.0.0.1')
  atEnd(async () => socket.destroy())
  let answer = ''
  socket.on('data', (part: Buffer) => (answer += part.toString()))
  // Cut while we still write: that is what some of these are for.
  socket.on('error', () => undefined)
  const ended = new Promise<void>((resolve) => socket.once('close', () => resolve()))
  await new Promise<void>((resolve) => socket.once('connect', resolve))
  return { socket, answer: () => answer, ended }
}

/** One request with its target exactly as given: `fetch` would tidy it up. */
async function ask(relay: TestRelay, target: string, method = 'GET', headers = ''): Promise<string> {
  const { socket, answer, ended } = await open(relay)
  socket.write(`${method} ${target} HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n${headers}\r\n`)
  await ended
  return answer()
}

function statusOf(answer: string): number {
  return Number(/^HTTP\/1\.1 (\d{3})/u.exec(answer)?.[1] ?? 0)
}

async function relayWithModel(options: Parameters<typeof relayForTest>[0] = {}): Promise<TestRelay> {
  const dir = await temporaryFolder()
  await cp(FIXTURE, join(dir, 'tiny'), { recursive: true })
  const webRoot = await temporaryFolder()
  await mkdir(join(webRoot, 'assets'))
  await writeFile(join(webRoot, 'index.html'), '<!doctype html><title>page</title>')
  return relayForTest({ modelsDir: [dir], ...options }, { webRoot })
}

it('a head that comes byte by byte is ended with 408, and the limit is named in the log; others are served meanwhile', async () => {
  const relay = await relayWithModel({ httpHeaderTimeout: 1 })
  const { socket, answer, ended } = await open(relay)
  const head = `GET / HTTP/1.1\r\nhost: 127.0.0.1\r\nx-slow: ${'a'.repeat(200)}`
  let sent = 0
  const drip = setInterval(() => socket.write(head[sent++ % head.length] ?? 'a'), 50)
  atEnd(async () => clearInterval(drip))
  // Nothing sent at all is the same.
  const silent = await open(relay)
  expect((await fetch(`${relay.pageUrl}healthz`)).status).toBe(200)
  await Promise.all([ended, silent.ended])
  expect(statusOf(answer())).toBe(408)
  expect(relay.lines.join('')).toMatch(/PEER_STATUS peer=- reason=http-header-timeout/u)
}, 30_000)

it('a connection that asks nothing more is let go', async () => {
  const relay = await relayWithModel({ httpIdleTimeout: 1 })
  const { socket, answer, ended } = await open(relay)
  socket.write('GET /healthz HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n')
  await ended
  expect(answer()).toMatch(/keep-alive: timeout=1/iu)
}, 30_000)

it('a body that is announced too long is refused before it is read, by name', async () => {
  const relay = await relayWithModel({ maxHttpBody: 1_000 })
  for (const target of ['/', '/config.json', '/hub/api/models/tiny/paths-info/main']) {
    const { socket, answer, ended } = await open(relay)
    socket.write(`POST ${target} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 5000000000\r\n\r\n`)
    await ended
    expect(statusOf(answer()), target).toBe(413)
  }
  expect(relay.lines.join('')).toContain('reason=max-http-body')
})

it('a body without an announced end is read up to the limit, and what nobody asked for not at all', async () => {
  const relay = await relayWithModel({ maxHttpBody: 100_000 })
  for (const [target, status] of [
    ['POST /hub/api/models/tiny/paths-info/main', 413],
    ['GET /healthz', 200],
    ['POST /', 405],
  ] as const) {
    const { socket, answer, ended } = await open(relay)
    const head = `${target} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n`
    socket.write(head)
    const chunk = Buffer.concat([Buffer.from('4000\r\n'), Buffer.alloc(0x4000, 0x20), Buffer.from('\r\n')])
    const pour = setInterval(() => socket.writable && socket.write(chunk), 5)
    atEnd(async () => clearInterval(pour))
    await ended
    clearInterval(pour)
    expect(statusOf(answer()), target).toBe(status)
  }
}, 30_000)

it('a head of megabytes and what is no HTTP are refused', async () => {
  const relay = await relayWithModel()
  expect(statusOf(await ask(relay, '/', 'GET', `x-long: ${'a'.repeat(100_000)}\r\n`))).toBe(431)
  expect(statusOf(await ask(relay, '/ HTTP/1.1\r\nbad header\r\n'))).toBe(400)
  const { socket, answer, ended } = await open(relay)
  socket.write('\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 this is no HTTP\r\n\r\n')
  await ended
  expect(statusOf(answer())).toBe(400)
})

it('no path leads out of the page or of a model folder, however it is written', async () => {
  const relay = await relayWithModel()
  const targets = [
    '/../../../../etc/passwd',
    '/..%2f..%2f..%2fetc%2fpasswd',
    '/%2e%2e/%2e%2e/%2e%2e/etc/passwd',
    '/assets/../../../../etc/passwd',
    '/assets/..%5c..%5c..%5cetc%5cpasswd',
    '/%c0%ae%c0%ae/etc/passwd',
    '/hub/tiny/resolve/main/../../../../etc/passwd',
    '/hub/tiny/resolve/main/%2e%2e/%2e%2e/etc/passwd',
    '/hub/tiny/resolve/main/..%2f..%2f..%2f..%2fetc%2fpasswd',
    '/hub/tiny/resolve/main//etc/passwd',
    '/hub/../../etc/passwd',
    '/hub/api/models/../../etc/tree/main',
    '/hub/api/models/tiny/tree/main/../../..',
    'http://127.0.0.1/etc/passwd',
  ]
  for (const target of targets) {
    const answer = await ask(relay, target)
    expect(statusOf(answer), target).toBe(404)
    expect(answer, target).not.toContain('root:')
  }
})

it('answers GET and HEAD only, and HEAD as GET without its body', async () => {
  const relay = await relayWithModel()
  for (const target of ['/', '/config.json', '/healthz', '/readyz', '/metrics', '/hub/tiny/resolve/main/config.json']) {
    for (const method of ['PUT', 'DELETE', 'PATCH', 'POST', 'TRACE']) {
      const answer = await ask(relay, target, method)
      expect(statusOf(answer), `${method} ${target}`).toBe(405)
      expect(answer).toMatch(/^allow: GET, HEAD\r$/imu)
    }
    const [get, head] = [await ask(relay, target), await ask(relay, target, 'HEAD')]
    expect(statusOf(head), target).toBe(200)
    const lengthOf = (answer: string): string | undefined => /^content-length: (\d+)\r$/imu.exec(answer)?.[1]
    expect(head.slice(head.indexOf('\r\n\r\n') + 4), target).toBe('')
    // The figures change from one reading to the next.
    if (target !== '/metrics') expect(lengthOf(head), target).toBe(lengthOf(get))
  }
  // A range is a matter of GET.
  const ranged = await ask(relay, '/hub/tiny/resolve/main/model.safetensors', 'HEAD', 'range: bytes=0-9\r\n')
  expect(statusOf(ranged)).toBe(200)
  expect(statusOf(await ask(relay, '/hub/tiny/resolve/main/config.json', 'GET', 'if-none-match: *\r\n'))).toBe(304)
  const etag = /^etag: (.*)\r$/imu.exec(await ask(relay, '/hub/tiny/resolve/main/config.json'))?.[1] ?? ''
  const conditional = `if-none-match: "other", W/${etag}\r\nrange: bytes=0-0\r\n`
  expect(statusOf(await ask(relay, '/hub/tiny/resolve/main/config.json', 'GET', conditional))).toBe(304)
})

it('three hundred WebSockets that only sit are held, and the page is served beside them', async () => {
  const relay = await relayWithModel({ maxPendingConnections: 400 })
  const sockets = Array.from({ length: 300 }, () => new WebSocket(`ws://127.0.0.1:${relay.port}/`))
  atEnd(async () => sockets.forEach((socket) => socket.terminate()))
  await Promise.all(
    sockets.map(
      (socket) =>
        new Promise<void>((resolve, reject) => {
          socket.once('open', () => resolve())
          socket.once('error', reject)
        }),
    ),
  )
  const metrics = await (await fetch(`${relay.pageUrl}metrics`)).text()
  expect(metrics).toContain('tabswarm_relay_connections 300')
  expect((await fetch(relay.pageUrl)).status).toBe(200)
  expect(relay.lines.join('')).not.toContain('PEER_STATUS')
  // Those that never finish their handshake are let go by themselves, and take no place afterwards.
  await expect
    .poll(() => sockets.filter((socket) => socket.readyState === WebSocket.OPEN).length, { timeout: 40_000 })
    .toBe(0)
  await expect
    .poll(async () => (await fetch(`${relay.pageUrl}metrics`)).text(), { timeout: 5_000 })
    .toContain('tabswarm_relay_connections 0')
}, 60_000)
