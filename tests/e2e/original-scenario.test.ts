/**
 * The original's scenario with its own command lines: four servers with browsers of their own on a 32-block model, a client
 * with two initial peers, the first server killed. `tests/support/original-guide.ts` has the commands.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { startHubStandIn, type HubStandIn } from '../support/hub-stand-in.ts'
import { clientCommand, firstAddress, method1, method2, SERVER_PORTS, toArguments } from '../support/original-guide.ts'
import {
  makeTempDir,
  removeTempDir,
  REPO_ROOT,
  runTabswarm,
  startTabswarm,
  type StartedProcess,
} from '../support/processes.ts'
import { READY, selectedBlocks } from '../support/swarm.ts'
import { startTcpForward, type TcpForward } from '../support/tcp-forward.ts'

const MODEL_DIR = join(REPO_ROOT, 'tests/fixtures/models/blocks32-bf16-sharded')
const ALL_BLOCKS = Array.from({ length: 32 }, (_, i) => i)

interface Chat {
  prompt: string
  input_ids: number[]
  greedy: number[]
}

let hub: HubStandIn
let dataDir: string
const forwards: TcpForward[] = []
const started: StartedProcess[] = []

beforeAll(async () => {
  dataDir = makeTempDir('guide')
  hub = await startHubStandIn({ models: { 'meta-llama/Llama-3.1-8B': MODEL_DIR } })
  // The router of the guide: public ports 22452, 29354, 59491 and 41826 lead to the servers' own.
  for (const port of SERVER_PORTS) {
    forwards.push(await startTcpForward({ port: port.publicDht, toPort: port.dht }))
  }
})

afterAll(async () => {
  await stopServers()
  await Promise.all(forwards.map((forward) => forward.stop()))
  await hub.close()
  removeTempDir(dataDir)
})

afterEach(stopServers)

function server(command: string, extra: string[] = []): StartedProcess {
  const process = startTabswarm([...toArguments(command), ...extra], { dataDir, env: { HF_ENDPOINT: hub.url } })
  started.push(process)
  return process
}

async function stopServers(): Promise<void> {
  await Promise.all(started.splice(0).map((process) => process.stop()))
}

/** Starts server after server, as the guide says, with the address copied from the first one's printed line. */
async function startOneAfterAnother(command: typeof method1): Promise<{ servers: StartedProcess[]; address: string }> {
  const first = server(command(0))
  const address = firstAddress(await first.waitForLine(/DHT visible multiaddrs/, 60_000))
  await first.waitForLine(READY, 120_000)
  const servers = [first]
  for (let i = 1; i < 4; i += 1) {
    const next = server(command(i, address))
    await next.waitForLine(READY, 120_000)
    servers.push(next)
  }
  return { servers, address }
}

function expectAllCovered(servers: StartedProcess[]): void {
  const blocks = servers.flatMap(selectedBlocks)
  expect(blocks.toSorted((a, b) => a - b)).toEqual(ALL_BLOCKS)
}

test('method 1: four servers pick different blocks, the client is answered, and still is when server 1 is dead', async () => {
  const chat = (JSON.parse(readFileSync(join(MODEL_DIR, 'reference.json'), 'utf8')) as { chat: Chat }).chat
  const { servers, address } = await startOneAfterAnother(method1)
  expect(address).toMatch(/^\/ip4\/127\.0\.0\.1\/tcp\/22452\/(ws\/)?p2p\/12D3KooW/)
  expectAllCovered(servers)
  for (const each of servers) {
    expect(
      each.both.filter((line) => /^P2P initialized for Load Balancing server, PeerID: 12D3KooW\w+$/.test(line)),
    ).toHaveLength(1)
    expect(
      each.both.some((line) =>
        /^Load Balancing server ready, blocks=\[\d+(, \d+){7}\], throughput=\d+\.\d\d rps$/.test(line),
      ),
    ).toBe(true)
    const order = [/^Selected blocks: /, /^P2P initialized/, /^Load Balancing server ready/].map((pattern) =>
      each.both.findIndex((line) => pattern.test(line)),
    )
    expect(order.includes(-1)).toBe(false)
    expect(order[0]).toBeLessThan(order[2] as number)
  }

  const second = firstAddress(await (servers[1] as StartedProcess).waitForLine(/DHT visible multiaddrs/))
  const ask = async (): Promise<number[]> => {
    const run = await runTabswarm(
      [
        ...toArguments(clientCommand(`${address},${second}`)),
        '--temperature',
        '0',
        '--max-tokens',
        '24',
        '--ignore-eos',
        '--json',
      ],
      { dataDir, env: { HF_ENDPOINT: hub.url }, timeoutMs: 120_000 },
    )
    expect(run.stderr).not.toMatch(/^\s+at /m)
    expect(run.code, run.stderr).toBe(0)
    const answer = JSON.parse(run.stdout) as { ids: number[]; promptIds: number[]; route: unknown[] }
    expect(answer.promptIds).toEqual(chat.input_ids)
    expect(answer.route).toHaveLength(4)
    return answer.ids
  }
  expect(await ask()).toEqual(chat.greedy)

  // The blocks of server 1 go with it: a fifth takes them, joining through server 2's address as the client does.
  const dead = servers[0] as StartedProcess
  const lost = selectedBlocks(dead)
  dead.signal('SIGKILL')
  await dead.exited(10_000)
  const fifth = server(
    method1(0, `${address},${second}`)
      .replace('--dht_port 8002', '--dht_port 8012')
      .replace('--public_dht_port 22452', '--public_dht_port 8012'),
  )
  await fifth.waitForLine(READY, 120_000)
  expect(selectedBlocks(fifth)).toEqual(lost)
  expect(await ask()).toEqual(chat.greedy)
})

test('method 2: the same without the balance flags', async () => {
  const { servers } = await startOneAfterAnother(method2)
  expectAllCovered(servers)
})

test('fixed splits: stages 0 to 3 serve their own ranges', async () => {
  const fixed = (stage: number, peers?: string): string =>
    method1(stage, peers)
      .replace('    --use_load_balancing \\\n', '')
      .replace('    --num_blocks 8 \\\n', '')
      .replace('--stage 1', `--stage ${stage}`)
  const asDonor = (args: string[]): string[] => ['donate', ...args.slice(1)]
  const start = (stage: number, peers?: string): StartedProcess => {
    const process = startTabswarm(asDonor(toArguments(fixed(stage, peers))), { dataDir, env: { HF_ENDPOINT: hub.url } })
    started.push(process)
    return process
  }
  const first = start(0)
  const address = firstAddress(await first.waitForLine(/DHT visible multiaddrs/, 60_000))
  const all = [first, ...[1, 2, 3].map((stage) => start(stage, address))]
  await Promise.all(all.map((process) => process.waitForLine(READY, 180_000)))
  expect(all.map((process) => selectedBlocks(process)[0])).toEqual([0, 8, 16, 24])
  expectAllCovered(all)
})
