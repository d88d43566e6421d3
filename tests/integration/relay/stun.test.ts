/** STUN on the relay's port: a real socket asks as a browser does, and as nobody should. */
import { createSocket, type Socket } from 'node:dgram'
import { randomBytes } from 'node:crypto'
import { expect, it, vi } from 'vitest'
import { atEnd, relayForTest, type TestRelay } from './support.ts'

/** Public by its own word; asked on loopback. */
const PUBLIC = { publicIp: ['203.0.113.7'] }

function request(): Buffer {
  return Buffer.concat([Buffer.from('000100002112a442', 'hex'), randomBytes(12)])
}

async function openUdp(): Promise<{ socket: Socket; answers: Buffer[] }> {
  const socket = createSocket('udp4')
  const answers: Buffer[] = []
  socket.on('message', (bytes) => answers.push(bytes))
  await new Promise<void>((resolve) => socket.bind(0, '127.0.0.1', resolve))
  atEnd(() => new Promise((resolve) => socket.close(() => resolve(undefined))))
  return { socket, answers }
}

async function metric(relay: TestRelay, result: string): Promise<number> {
  const text = await (await fetch(new URL('/metrics', relay.pageUrl))).text()
  const match = new RegExp(`^tabswarm_relay_stun_requests_total\\{result="${result}"\\} (\\d+)$`, 'm').exec(text)
  return Number(match?.[1] ?? 0)
}

it('answers a Binding request with the asker’s own address and port, and tells tabs where to ask', async () => {
  const relay = await relayForTest(PUBLIC)
  expect((await relay.appConfig()).iceServers).toEqual([{ urls: `stun:203.0.113.7:${relay.port}` }])
  const { socket, answers } = await openUdp()
  const asked = request()
  socket.send(asked, relay.port, '127.0.0.1')
  await vi.waitFor(() => expect(answers).toHaveLength(1))
  const answer = answers[0] as Buffer
  expect(answer.subarray(8, 20)).toEqual(asked.subarray(8, 20))
  expect(answer.readUInt16BE(26) ^ 0x2112).toBe(socket.address().port)
  expect((answer.readUInt32BE(28) ^ 0x2112a442) >>> 0).toBe(0x7f000001)
  expect(await metric(relay, 'answered')).toBe(1)
})

it('what is no request gets no answer; a flood is cut at a second’s share, and one line says so', async () => {
  const relay = await relayForTest(PUBLIC)
  const { socket, answers } = await openUdp()
  socket.send(Buffer.from('GET / HTTP/1.1'), relay.port, '127.0.0.1')
  await vi.waitFor(async () => expect(await metric(relay, 'invalid')).toBe(1))
  expect(answers).toEqual([])
  await vi.waitFor(
    async () => {
      for (let i = 0; i < 500; i += 1) socket.send(request(), relay.port, '127.0.0.1')
      expect(await metric(relay, 'flood')).toBeGreaterThan(0)
    },
    { timeout: 20_000, interval: 1 },
  )
  expect(relay.lines.filter((line) => line.includes('reason=stun')).length).toBeGreaterThan(0)
})

it('off, another server’s, and a UDP port that somebody else has', async () => {
  const off = await relayForTest({ ...PUBLIC, stun: 'off' })
  expect((await off.appConfig()).iceServers).toEqual([])
  const other = await relayForTest({ ...PUBLIC, stun: 'stun:stun.example:3478' })
  expect((await other.appConfig()).iceServers).toEqual([{ urls: 'stun:stun.example:3478' }])
  const { socket } = await openUdp()
  const taken = await relayForTest({ ...PUBLIC, port: socket.address().port })
  expect((await taken.appConfig()).iceServers).toEqual([])
  expect(taken.lines.join('')).toMatch(/STUN is off, because UDP port \d+ cannot be used/u)
})
