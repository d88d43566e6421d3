/** `tabswarm probe` against real relays: what is well, and each thing that can be wrong, with its sentence and exit code. */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { TestAuthority, whyNoCertificates } from '../support/certificates.ts'
import { runTabswarm } from '../support/processes.ts'
import { freePort, TestSwarm } from '../support/swarm.ts'

const WHY_NOT = whyNoCertificates()

let swarm: TestSwarm
beforeAll(async () => {
  swarm = new TestSwarm()
  await swarm.relay(['--host', '127.0.0.1'])
})
afterAll(() => swarm?.stop())

interface Probed {
  code: number | null
  /** Outcome and sentence by check. */
  lines: Record<string, string>
}

async function probe(address: string, ...args: string[]): Promise<Probed> {
  const { code, stdout } = await runTabswarm(['probe', address, ...args], { dataDir: swarm.dataDir })
  const lines = stdout
    .split('\n')
    .map((line) => /^(ok|note|FAIL|skip) +([^:]+): (.*)$/.exec(line))
    .flatMap((match) => (match === null ? [] : [[match[2], `${match[1]} ${match[3]}`]]))
  return { code, lines: Object.fromEntries(lines) as Record<string, string> }
}

test('a relay on this machine: all is well, and two peers meet through it', async () => {
  const { code, lines } = await probe(swarm.addresses[0] as string)
  expect(lines).toMatchObject({
    page: expect.stringMatching(/^ok /) as string,
    settings: expect.stringMatching(/^ok version \d/) as string,
    WebSocket: 'ok joined.',
    'announced addresses': expect.stringMatching(/^ok /) as string,
    STUN: expect.stringMatching(/^skip none is offered/) as string,
    reservation: expect.stringMatching(/^ok /) as string,
    dial: 'ok two peers that it introduced are connected directly.',
  })
  expect(code).toBe(0)
})

test('nothing there: what failed, what to open, and exit code 1', async () => {
  const address = (swarm.addresses[0] as string).replace(String(swarm.ports[0]), String(await freePort()))
  const { code, lines } = await probe(address)
  expect(lines['page']).toMatch(/^FAIL fetch failed: connect ECONNREFUSED.*Open the relay’s TCP port/)
  expect(lines['WebSocket']).toMatch(/^FAIL /)
  expect(lines['dial']).toBe('skip needs the WebSocket.')
  expect(code).toBe(1)
})

test('another peer id: the address is an old one', async () => {
  const stranger = '12D3KooWKnDdG3iXw9eTFijk3EWSunZcFi54Zka4wmtqtt6rPxc8'
  const { code, lines } = await probe((swarm.addresses[0] as string).replace(/12D3KooW\w+/, stranger))
  expect(lines['WebSocket']).toMatch(/^FAIL /)
  expect(lines['announced addresses']).toMatch(/^note the relay has another peer id than this address/)
  expect(code).toBe(1)
})

test('announced where nothing answers, and STUN that is silent', async () => {
  const dead = await freePort()
  const flags = `--host 127.0.0.1 --public-ip 127.0.0.1 --public-port ${dead} --stun stun:127.0.0.1:${dead}`
  const relay = await swarm.relay(flags.split(' '))
  const address = (swarm.addresses[1] as string).replace(String(dead), String(swarm.ports[1]))
  const { lines } = await probe(address)
  expect(lines['announced addresses']).toMatch(
    /^note it announces .* where nothing answers from here\. Give what others see/,
  )
  expect(lines['STUN']).toMatch(/^note no answer from stun:127\.0\.0\.1:\d+: tabs behind routers will be relayed/)
  await relay.stop()
})

test.skipIf(WHY_NOT !== null)(
  `https: trusted with the authority, and refused with a sentence without${WHY_NOT === null ? '' : ` (skipped: ${WHY_NOT})`}`,
  async () => {
    const folder = join(swarm.dataDir, 'tls')
    mkdirSync(folder)
    const authority = new TestAuthority(folder)
    const { certFile, keyFile } = authority.certificate('relay', ['IP:127.0.0.1'], 3)
    await swarm.relay(['--host', '127.0.0.1', '--tls-cert', certFile, '--tls-key', keyFile])
    const address = swarm.addresses[2] as string
    const trusting = await probe(address, '--ca', authority.caFile)
    expect(trusting.lines['certificate']).toMatch(/^note it ends in [23] days\. Renew it/)
    expect(trusting.lines['dial']).toMatch(/^ok /)
    expect(trusting.code).toBe(0)
    const doubting = await probe(address)
    expect(doubting.lines['certificate']).toMatch(/^FAIL .*--ca FILE trusts one of your own/)
    expect(doubting.code).toBe(1)
  },
)
