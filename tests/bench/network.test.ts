/**
 * `npm run bench:network`: what joining, dialling and relaying cost on this machine, printed as one table with the least, the
 * middle and the most of each figure. Nothing is asserted but that everything worked. All parts share this machine's cores.
 */
import { readFileSync } from 'node:fs'
import { setTimeout as pause } from 'node:timers/promises'
import type { Page } from 'playwright'
import { afterAll, afterEach, describe, expect, test } from 'vitest'
import { createRequestingNode } from '../../net/node.ts'
import { nodePlatform } from '../../net/platform-node.ts'
import { ChatSession } from '../../session/generate.ts'
import { samplingFor } from '../../session/model/defaults.ts'
import {
  clientForTest,
  DirectoryClient,
  recordOf,
  reserved,
  type Reachable,
  type TestClient,
} from '../integration/relay/support.ts'
import { launchChromiumProfile } from '../support/browser.ts'
import { chromiumWithoutUdp } from '../support/no-udp-chromium.ts'
import { makeTempDir, removeTempDir } from '../support/processes.ts'
import { joinSwarm } from '../support/route-client.ts'
import { READY, TestSwarm } from '../support/swarm.ts'
import { startEchoPair } from './network-peers.ts'

const JOINS_A_SECOND = 20
const PEERS = 200
const QUIET_MS = 20_000
const RECORD_MS = 25_000
const DIALS = 20
const REPEATS = 3
const TOKENS = 60

const rows: string[] = []
function row(name: string, ...values: string[]): void {
  rows.push(`${name.padEnd(62)}${values.map((value) => value.padStart(11)).join('')}`)
}

function report(name: string, values: readonly number[], digits = 1): void {
  const sorted = values.toSorted((a, b) => a - b)
  const at = (part: number): string => (sorted[Math.round(part * (sorted.length - 1))] ?? Number.NaN).toFixed(digits)
  row(name, at(0), at(0.5), at(0.95), at(1))
}

afterAll(() => {
  console.log(
    `\n${['', 'least', 'median', 'p95', 'most'].map((head, i) => (i === 0 ? head.padEnd(62) : head.padStart(11))).join('')}\n${rows.join('\n')}\n`,
  )
})

let swarm: TestSwarm | null = null
afterEach(async () => {
  await swarm?.stop()
  swarm = null
})

async function startRelay(): Promise<{ swarm: TestSwarm; address: string; pid: number; url: string }> {
  swarm = new TestSwarm()
  const { pid } = await swarm.relay(['--host', '127.0.0.1'])
  return { swarm, address: swarm.addresses[0] ?? '', pid, url: `http://127.0.0.1:${swarm.ports[0]}/` }
}

/** Figures of the relay by their name. All of one moment: reading them starts the event loop's delay anew. */
async function figuresOf(url: string): Promise<(name: string) => number> {
  const text = await (await fetch(`${url}metrics`)).text()
  return (name) => {
    const value = new RegExp(`^tabswarm_relay_${name} (\\S+)$`, 'mu').exec(text)?.[1]
    if (value === undefined) throw new Error(`the relay has no figure ${name}`)
    return Number(value)
  }
}

function delayOf(figures: (name: string) => number): string {
  return (figures('event_loop_delay_p99_seconds') * 1_000).toFixed(0)
}

/** Seconds of CPU of a process, user and system. */
function cpuSeconds(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? []
  return (Number(fields[11]) + Number(fields[12])) / 100
}

function residentMb(pid: number): number {
  return Number(/^VmRSS:\s+(\d+)/mu.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1000
}

describe('a relay with two hundred peers, from one driver', () => {
  test('joins, memory, CPU', async () => {
    const { address, pid, url } = await startRelay()
    const relay: Reachable = {
      port: Number(/\/tcp\/(\d+)/u.exec(address)?.[1]),
      peerId: address.split('/p2p/')[1] ?? '',
      addresses: [address],
    }
    const clients: TestClient[] = []
    for (let i = 0; i < PEERS; i += 1) clients.push(await clientForTest({ reserve: true }))
    row('relay: memory before anybody, MB', residentMb(pid).toFixed(0))

    const timers: NodeJS.Timeout[] = []
    const taken: number[] = []
    const [cpuBefore, startedAt] = [cpuSeconds(pid), performance.now()]
    const join = async (client: TestClient): Promise<void> => {
      const before = performance.now()
      await reserved(client, relay)
      const directory = await DirectoryClient.open(client, relay)
      taken.push(performance.now() - before)
      const publish = async (): Promise<void> => directory.publish(await recordOf(client, { relays: [address] }))
      await publish()
      timers.push(setInterval(() => void publish().catch(() => undefined), RECORD_MS))
    }
    const joining = []
    for (const [i, client] of clients.entries()) {
      await pause(Math.max(0, startedAt + (i * 1_000) / JOINS_A_SECOND - performance.now()))
      joining.push(join(client))
    }
    await Promise.all(joining)
    const joinSeconds = (performance.now() - startedAt) / 1_000
    report(`relay: a join, ${JOINS_A_SECOND} a second: connected, reserved, welcomed, ms`, taken, 0)
    row(
      `relay: CPU while ${PEERS} joined in ${joinSeconds.toFixed(1)} s, % of a core`,
      share(pid, cpuBefore, joinSeconds),
    )
    const joined = await figuresOf(url)
    row('relay: event loop p99 meanwhile, ms', delayOf(joined))
    row(`relay: memory with ${PEERS} peers, MB`, residentMb(pid).toFixed(0))

    const [quietCpu, sentBefore] = [cpuSeconds(pid), joined('sent_bytes_total')]
    await pause(QUIET_MS)
    const quiet = await figuresOf(url)
    const sent = quiet('sent_bytes_total') - sentBefore
    row(
      `relay: CPU with ${PEERS} peers, each with a record every ${RECORD_MS / 1_000} s, % of a core`,
      share(pid, quietCpu, QUIET_MS / 1_000),
    )
    row('relay: event loop p99 meanwhile, ms', delayOf(quiet))
    row('relay: sent meanwhile to each peer, kB/s', (sent / 1_000 / PEERS / (QUIET_MS / 1_000)).toFixed(2))
    expect(quiet('connections')).toBe(PEERS)
    timers.forEach(clearInterval)
  })
})

function share(pid: number, before: number, seconds: number): string {
  return ((100 * (cpuSeconds(pid) - before)) / seconds).toFixed(1)
}

test('a round trip between two peers, direct and relayed', async () => {
  const { address } = await startRelay()
  const pair = await startEchoPair(address)
  try {
    for (const [size, times] of [
      [8, 200],
      [1_024, 200],
      [16_384, 100],
      [262_144, 20],
    ] as const) {
      for (const way of ['direct', 'relayed'] as const) {
        await pair.roundTrips(way, size, 10)
        report(`round trip of ${size} bytes, ${way}, ms`, await pair.roundTrips(way, size, times), 2)
      }
    }
  } finally {
    await pair.stop()
  }
})

describe('real tabs', () => {
  test('a dial to a tab, each by a peer of its own', async () => {
    const { swarm: tabs, address } = await startRelay()
    const donor = tabs.donor(['--model', 'tinytales', '--num_blocks', '8', '--backend', 'software'])
    await donor.waitForLine(READY, 90_000)
    const taken: number[] = []
    for (let i = 0; i < DIALS; i += 1) {
      const node = await createRequestingNode({
        relays: [address],
        iceServers: [],
        modelDigests: [],
        platform: nodePlatform,
        log: () => undefined,
      })
      try {
        const peerId = await onlyPeer(node)
        const before = performance.now()
        await node.openInference(peerId, AbortSignal.timeout(60_000))
        taken.push(performance.now() - before)
      } finally {
        await node.stop()
      }
    }
    report('dial: from nothing to an open session stream (WebRTC), ms', taken, 0)
  })

  test('from the URL to serving, with nothing in the cache and with everything', async () => {
    const { url } = await startRelay()
    const [cold, warm]: [number[], number[]] = [[], []]
    for (let i = 0; i < REPEATS; i += 1) {
      const profile = makeTempDir('bench-profile')
      for (const times of [cold, warm]) {
        const context = await launchChromiumProfile(profile)
        const page = await context.newPage()
        times.push(await openToServing(page, url))
        await context.close()
      }
      removeTempDir(profile)
    }
    report('URL opened to serving all 8 blocks, cold cache, s', cold, 2)
    report('URL opened to serving all 8 blocks, warm cache, s', warm, 2)
  })

  test.each(['direct', 'relayed'] as const)('what the relay carries for a token, %s', async (way) => {
    const { swarm: tabs, url } = await startRelay()
    const browser = way === 'direct' ? [] : ['--chromium', chromiumWithoutUdp(tabs.dataDir)]
    await tabs.readyDonors(2, ['--model', 'tinytales', '--num_blocks', '4', '--backend', 'software', ...browser])
    const client = await joinSwarm(url)
    try {
      const session = new ChatSession(client.node, client.model, {
        now: () => performance.now(),
        randomBytes: (length) => crypto.getRandomValues(new Uint8Array(length)),
        reserveTokens: TOKENS,
      })
      const [sent, carried, speed]: [number[], number[], number[]] = [[], [], []]
      // The first answer dials and signals: that is no cost of a token.
      for (let i = 0; i <= REPEATS; i += 1) {
        const [before, startedAt] = [await figuresOf(url), performance.now()]
        const { tokens, isDirect } = await answer(session, client.model)
        const [after, seconds] = [await figuresOf(url), (performance.now() - startedAt) / 1_000]
        const grown = (name: string): number => after(name) - before(name)
        if (i === 0) {
          expect(isDirect).toBe(way === 'direct')
          row(`relay: sent for the first answer, dials in it, ${way}, bytes`, grown('sent_bytes_total').toFixed(0))
          continue
        }
        sent.push(grown('sent_bytes_total') / tokens)
        carried.push(grown('relayed_bytes_total') / tokens)
        speed.push(tokens / seconds)
      }
      await session.close()
      report(`relay: sent a token in all, two hops ${way}, bytes`, sent)
      report(`relay: carried between peers a token, two hops ${way}, bytes`, carried)
      report(`tokens a second, two hops ${way}`, speed)
    } finally {
      await client.stop()
    }
  })
})

/** `isDirect`: every hop of the route that was taken; true as well where an older route goes on. */
async function answer(
  session: ChatSession,
  model: Parameters<typeof samplingFor>[0],
): Promise<{ tokens: number; isDirect: boolean }> {
  let tokens = 0
  let isDirect = true
  const events = session.generate({
    promptIds: [1, 2, 3, 4],
    maxTokens: TOKENS,
    sampling: samplingFor(model, { temperature: 0 }, 1),
    stopSequences: [],
    ignoreEos: true,
    signal: AbortSignal.timeout(120_000),
  })
  for await (const event of events) {
    if (event.type === 'token') tokens += 1
    if (event.type === 'route') isDirect = event.direct.every(Boolean)
    if (event.type === 'end') expect(event.error).toBeUndefined()
  }
  expect(tokens).toBe(TOKENS)
  return { tokens, isDirect }
}

async function onlyPeer(node: Awaited<ReturnType<typeof createRequestingNode>>): Promise<string> {
  const deadline = performance.now() + 20_000
  for (;;) {
    const [model] = node.directory.models()
    const record = model === undefined ? undefined : node.directory.records(model.digest)[0]
    if (record !== undefined) return record.peerId
    if (performance.now() > deadline) throw new Error('no record in 20 s')
    await pause(10)
  }
}

/** Seconds from the address being opened, with the click that begins given as soon as it can be. */
async function openToServing(page: Page, url: string): Promise<number> {
  const before = performance.now()
  await page.goto(`${url}?donate=&tab=0&model=tinytales&num_blocks=8&backend=software`)
  await page.getByTestId('donate-start').and(page.locator(':enabled')).click({ timeout: 120_000 })
  await page.locator('.donor[data-status="serving"]').waitFor({ timeout: 120_000 })
  return (performance.now() - before) / 1_000
}
