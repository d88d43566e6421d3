/** A relay over https: its certificate, exchanged while it runs; and behind a proxy that does https for it. */
import { copyFileSync, renameSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs'
import { request as plainRequest } from 'node:http'
import { createServer } from 'node:https'
import { connect as connectTcp, type AddressInfo, type LookupFunction } from 'node:net'
import { join } from 'node:path'
import { readFileSync } from 'node:fs'
import { connect } from 'node:tls'
import { expect, it, vi } from 'vitest'
import { WebSocket } from 'ws'
import { TestAuthority, whyNoCertificates, type MadeCertificate } from '../../support/certificates.ts'
import { atEnd, relayForTest, temporaryFolder, type TestRelay } from './support.ts'

const WHY_NOT = whyNoCertificates()
const test = it.skipIf(WHY_NOT !== null)
const why = WHY_NOT === null ? '' : ` (skipped: ${WHY_NOT})`

interface Seen {
  /** Of the certificate. */
  serial: string
  isTrusted: boolean
}

function handshake(port: number, ca: string): Promise<Seen> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: '127.0.0.1', servername: 'relay.example', ca, rejectUnauthorized: false })
    socket.once('secureConnect', () => {
      resolve({ serial: socket.getPeerX509Certificate()?.serialNumber ?? '', isTrusted: socket.authorized })
      socket.destroy()
    })
    socket.once('error', reject)
  })
}

function openSocket(port: number, ca: string): WebSocket {
  return new WebSocket(`wss://relay.example:${port}/`, [], { ca, lookup: toLoopback })
}

const toLoopback: LookupFunction = (_name, options, done) =>
  options.all === true ? done(null, [{ address: '127.0.0.1', family: 4 }]) : done(null, '127.0.0.1', 4)

/** Whether the swarm's WebSocket opens at this port under the certificate's name. */
function opensSocket(port: number, ca: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = openSocket(port, ca)
    socket.once('open', () => (socket.terminate(), resolve(true)))
    socket.once('error', () => resolve(false))
  })
}

function get(
  port: number,
  ca: string,
  path: string,
): Promise<{ status: number; headers: Record<string, unknown>; body: string }> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: '127.0.0.1', servername: 'relay.example', ca })
    socket.once('error', reject)
    const req = plainRequest({ createConnection: () => socket, path, headers: { host: 'relay.example' } }, (res) => {
      let body = ''
      res.setEncoding('utf8').on('data', (chunk: string) => (body += chunk))
      res.on('end', () => resolve({ status: res.statusCode ?? 0, headers: res.headers, body }))
    })
    req.once('error', reject)
    req.end()
  })
}

async function secureRelay(names = ['DNS:relay.example', 'IP:203.0.113.7'], days?: number) {
  const folder = await temporaryFolder()
  const authority = new TestAuthority(folder)
  const made = authority.certificate('first', names, days)
  const relay = await relayForTest({ tlsCert: made.certFile, tlsKey: made.keyFile })
  return { folder, authority, made, relay, ca: readFileSync(authority.caFile, 'utf8') }
}

function warning(relay: TestRelay, pattern: RegExp): string | undefined {
  return relay.lines.find((line) => pattern.test(line))
}

test(`one port serves page, config and the swarm’s WebSocket over https, announced by the certificate’s names${why}`, async () => {
  const { relay, ca } = await secureRelay()
  expect(relay.addresses).toEqual([
    `/dns4/relay.example/tcp/${relay.port}/tls/ws/p2p/${relay.peerId}`,
    `/ip4/203.0.113.7/tcp/${relay.port}/tls/ws/p2p/${relay.peerId}`,
  ])
  expect(relay.publicPageUrl).toBe(`https://relay.example:${relay.port}/`)
  const config = await get(relay.port, ca, '/config.json')
  expect(JSON.parse(config.body)).toMatchObject({ relays: relay.addresses })
  expect(config.headers['strict-transport-security']).toMatch(/^max-age=\d+$/u)
  expect(config.headers['content-security-policy']).not.toContain('ws://')
  expect(await opensSocket(relay.port, ca)).toBe(true)
  // Another authority is not trusted: what was seen before was.
  const stranger = new TestAuthority(await temporaryFolder())
  expect(await opensSocket(relay.port, readFileSync(stranger.caFile, 'utf8'))).toBe(false)
})

test(`a new certificate is used without a restart, however its files are replaced; a broken one is not${why}`, async () => {
  const { folder, authority, made, relay, ca } = await secureRelay()
  const first = await handshake(relay.port, ca)
  expect(first.isTrusted).toBe(true)
  const held = openSocket(relay.port, ca)
  await new Promise((resolve) => held.once('open', resolve))

  // Half written: said once, and the old one stays.
  writeFileSync(made.certFile, '-----BEGIN CERTIFICATE-----\n')
  await vi.waitFor(() => expect(warning(relay, /the new certificate is not used, the old one stays/u)).toBeDefined(), {
    timeout: 20_000,
  })
  expect(await handshake(relay.port, ca)).toEqual(first)

  // As those who renew it do: written beside, then moved into its place.
  const second = authority.certificate('second', ['DNS:relay.example'])
  replace(second.keyFile, made.keyFile, folder)
  replace(second.certFile, made.certFile, folder)
  await vi.waitFor(async () => expect((await handshake(relay.port, ca)).serial).not.toBe(first.serial), {
    timeout: 20_000,
  })
  expect(held.readyState).toBe(WebSocket.OPEN)
  held.terminate()

  // Or by links that lead elsewhere.
  const third = authority.certificate('third', ['DNS:relay.example'])
  const before = await handshake(relay.port, ca)
  link(third, made)
  await vi.waitFor(async () => expect((await handshake(relay.port, ca)).serial).not.toBe(before.serial), {
    timeout: 20_000,
  })
})

function replace(from: string, to: string, folder: string): void {
  const beside = join(folder, 'beside')
  copyFileSync(from, beside)
  renameSync(beside, to)
}

function link(from: MadeCertificate, to: MadeCertificate): void {
  for (const file of ['certFile', 'keyFile'] as const) {
    unlinkSync(to[file])
    symlinkSync(from[file], to[file])
  }
}

test(`the days that are left are a metric; one that has ended is said, and the relay is not ready${why}`, async () => {
  const { relay } = await secureRelay(['DNS:relay.example', 'IP:127.0.0.1'])
  const ask = async (path: string, one: TestRelay): Promise<string> => {
    const socket = connect({ port: one.port, host: '127.0.0.1', rejectUnauthorized: false })
    return new Promise((resolve, reject) => {
      const req = plainRequest({ createConnection: () => socket, path, headers: { host: '127.0.0.1' } }, (res) => {
        let body = ''
        res.setEncoding('utf8').on('data', (chunk: string) => (body += chunk))
        res.on('end', () => resolve(body))
      })
      req.once('error', reject)
      req.end()
    })
  }
  expect(await ask('/metrics', relay)).toMatch(/^tabswarm_relay_certificate_days_left (19|20)$/mu)
  expect((await ask('/readyz', relay)).trim()).toBe('ready')

  const ended = await secureRelay(['DNS:relay.example'], 0)
  await vi.waitFor(async () =>
    expect(await ask('/readyz', ended.relay)).toMatch(/^not ready: the certificate ended on/u),
  )
})

test(`what cannot work is said at the start${why}`, async () => {
  const folder = await temporaryFolder()
  const authority = new TestAuthority(folder)
  const [one, other] = [
    authority.certificate('one', ['DNS:one.example']),
    authority.certificate('other', ['DNS:other.example']),
  ]
  await expect(relayForTest({ tlsCert: join(folder, 'none.pem'), tlsKey: one.keyFile })).rejects.toThrow(
    /--tls-cert .*none\.pem cannot be read/u,
  )
  await expect(relayForTest({ tlsCert: one.certFile, tlsKey: other.keyFile })).rejects.toThrow(
    /is not the one of the certificate/u,
  )
  await expect(relayForTest({ tlsCert: one.keyFile, tlsKey: one.keyFile })).rejects.toThrow(/is no certificate in PEM/u)
  const wrongName = await relayForTest({ tlsCert: one.certFile, tlsKey: one.keyFile, publicHost: ['relay.example'] })
  expect(warning(wrongName, /the certificate is not for relay\.example/u)).toBeDefined()
})

test(`behind a proxy: announced as https, visitors counted by the address that the proxy saw${why}`, async () => {
  const folder = await temporaryFolder()
  const authority = new TestAuthority(folder)
  const made = authority.certificate('proxy', ['DNS:relay.example'])
  const relay = await relayForTest({ behindProxy: true, publicHost: ['relay.example'], maxJoinsPerSecond: 2 })
  expect(relay.addresses).toEqual([`/dns4/relay.example/tcp/443/tls/ws/p2p/${relay.peerId}`])
  let visitor = '198.51.100.1'
  const proxyPort = await startProxy(made, relay.port, () => visitor)
  const ca = readFileSync(authority.caFile, 'utf8')
  const page = await get(proxyPort, ca, '/config.json')
  expect(page.headers['strict-transport-security']).toBeDefined()
  expect(page.headers['content-security-policy']).not.toContain('ws://')
  expect(await Promise.all([opensSocket(proxyPort, ca), opensSocket(proxyPort, ca)])).toEqual([true, true])
  // A refusal opens and is closed with its reason; the log names it.
  await opensSocket(proxyPort, ca)
  await vi.waitFor(() => expect(warning(relay, /PEER_STATUS.*reason=max-joins-per-second/u)).toBeDefined())
  const refusals = relay.lines.filter((line) => line.includes('max-joins-per-second')).length
  visitor = '198.51.100.2'
  await opensSocket(proxyPort, ca)
  expect(relay.lines.filter((line) => line.includes('max-joins-per-second'))).toHaveLength(refusals)
})

/** Https in front of a port, as a proxy does it: the visitor's address appended, upgrades passed on. */
async function startProxy(
  { certFile, keyFile }: MadeCertificate,
  port: number,
  visitor: () => string,
): Promise<number> {
  const server = createServer({ cert: readFileSync(certFile), key: readFileSync(keyFile) }, (req, res) => {
    const headers = { ...req.headers, 'x-forwarded-for': `192.0.2.66, ${visitor()}`, 'x-forwarded-proto': 'https' }
    const passed = plainRequest({ port, host: '127.0.0.1', path: req.url, method: req.method, headers }, (answer) => {
      res.writeHead(answer.statusCode ?? 502, answer.headers)
      answer.pipe(res)
    })
    req.pipe(passed)
  })
  server.on('upgrade', (req, socket) => {
    const behind = connectTcp(port, '127.0.0.1')
    const lines = Object.entries({ ...req.headers, 'x-forwarded-for': visitor(), 'x-forwarded-proto': 'https' })
    behind.write(
      `GET ${req.url} HTTP/1.1\r\n${lines.map(([name, value]) => `${name}: ${String(value)}\r\n`).join('')}\r\n`,
    )
    behind.pipe(socket).pipe(behind)
    for (const end of [behind, socket]) end.on('error', () => undefined)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  atEnd(async () => {
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  })
  return (server.address() as AddressInfo).port
}
