/**
 * The original's scenario with its own command lines: servers with browsers of their own on a 32-block model, a client with
 * two initial peers, servers that die, join and leave. `tests/support/original-guide.ts` has the commands.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { startHubStandIn, type HubStandIn } from '../support/hub-stand-in.ts'
import {
  clientCommand,
  firstAddress,
  method1,
  method2,
  SERVER_PORTS,
  startGuideScript,
  startScript,
  toArguments,
} from '../support/original-guide.ts'
import { makeTempDir, removeTempDir, REPO_ROOT, startTabswarm, type StartedProcess } from '../support/processes.ts'
import { answerOf, READY, SELECTED, selectedBlocks } from '../support/swarm.ts'
import { startTcpForward, type TcpForward } from '../support/tcp-forward.ts'

const MODEL_DIR = join(REPO_ROOT, 'tests/fixtures/models/blocks32-bf16-sharded')
const WHOLE_AGAIN = 'No block is missing any more.'
const ALL_BLOCKS = Array.from({ length: 32 }, (_, i) => i)

interface Chat {
  input_ids: number[]
  greedy: number[]
}
const CHAT = (JSON.parse(readFileSync(join(MODEL_DIR, 'reference.json'), 'utf8')) as { chat: Chat }).chat

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

/** A further server on the same machine: a port of its own, which its public address names as well. */
function onPort(command: string, port: number): string {
  return command.replace('--dht_port 8002', `--dht_port ${port}`).replace('22452', String(port))
}

function expectLinesOfTheGuide(each: StartedProcess): void {
  const lines = [
    /^splits and stage are ignored: under load balancing each tab picks its own blocks\.$/,
    SELECTED,
    /^P2P initialized for Load Balancing server, PeerID: 12D3KooW\w+$/,
    /^Load Balancing server ready, blocks=\[\d+(, \d+){7}\], throughput=\d+\.\d\d rps$/,
  ]
  const at = lines.map((pattern) => each.both.findIndex((line) => pattern.test(line)))
  expect(at).not.toContain(-1)
  expect(at).toEqual(at.toSorted((a, b) => a - b))
  for (const pattern of lines) expect(each.both.filter((line) => pattern.test(line))).toHaveLength(1)
}

/** What a donor prints when it moves to blocks that lost their last holder. */
function expectMove(each: StartedProcess, blocks: readonly number[]): void {
  const list = blocks.join(', ')
  const from = each.stdout.findLastIndex((line) => line.startsWith('Missing blocks: '))
  // A check of the period may fall between.
  const story = each.stdout.slice(from).filter((line) => !/^Swarm balance quality: (?!0\.0%)/.test(line))
  expect(story).toEqual([
    `Missing blocks: ${blocks[0]}–${blocks.at(-1)} (nobody serves or loads them).`,
    expect.stringMatching(/^Swarm balance quality: 0\.0% \(initial=0\.00, new=\d+\.\d\d\)$/),
    'Load balancing detected imbalance, will rebalance blocks',
    `Selected blocks: [${list}]`,
    expect.stringMatching(
      new RegExp(`^Load Balancing server ready, blocks=\\[${list}\\], throughput=\\d+\\.\\d\\d rps$`),
    ),
    WHOLE_AGAIN,
  ])
}

/** The reference's greedy ids, through four hops. */
async function expectAnswer(prompt: StartedProcess): Promise<void> {
  const answer = await answerOf(prompt)
  expect(answer.promptIds).toEqual(CHAT.input_ids)
  expect(answer.ids).toEqual(CHAT.greedy)
  expect(answer.route).toHaveLength(4)
}

function expectAllCovered(servers: StartedProcess[]): void {
  const blocks = servers.flatMap(selectedBlocks)
  expect(blocks.toSorted((a, b) => a - b)).toEqual(ALL_BLOCKS)
}

test('method 1: four servers split the model, and it stays whole while servers die, join and leave', async () => {
  const { servers, address } = await startOneAfterAnother(method1)
  expect(address).toMatch(/^\/ip4\/127\.0\.0\.1\/tcp\/22452\/(ws\/)?p2p\/12D3KooW/)
  expectAllCovered(servers)
  servers.forEach(expectLinesOfTheGuide)
  const second = firstAddress(await (servers[1] as StartedProcess).waitForLine(/DHT visible multiaddrs/))
  const client = (): StartedProcess => {
    const exact = ['--temperature', '0', '--max-tokens', '24', '--ignore-eos', '--json']
    return server(clientCommand(`${address},${second}`), exact)
  }
  await expectAnswer(client())

  // With only four, what server 1 served is missing, and everybody says so. Its relay is dead as well: the client comes in
  // through server 2's address.
  const dead = servers.shift() as StartedProcess
  const lost = selectedBlocks(dead)
  const lostRange = `${lost[0]}–${lost.at(-1)}`
  dead.signal('SIGKILL')
  await dead.exited(10_000)
  const missing = new RegExp(`^Missing blocks: ${lostRange} \\(nobody serves or loads them\\)\\.$`)
  await Promise.all(servers.map((each) => each.waitForLine(missing, 60_000)))
  const waiting = client()
  await waiting.waitForLine(new RegExp(`^Waiting: nobody serves blocks ${lostRange}\\.`), 60_000)

  // A fifth takes them, and the answer goes on by itself.
  const fifth = server(onPort(method1(0, `${address},${second}`), 8012))
  await fifth.waitForLine(READY, 120_000)
  expect(selectedBlocks(fifth)).toEqual(lost)
  servers.push(fifth)
  await expectAnswer(waiting)

  // One more joins the four that cover everything: all that it holds has a second holder.
  const replica = server(onPort(method1(0, `${address},${second}`), 8010))
  await replica.waitForLine(READY, 120_000)
  expectAllCovered(servers)
  const twice = new Set(selectedBlocks(replica))
  const isAlone = (each: StartedProcess): boolean => selectedBlocks(each).every((block) => !twice.has(block))

  // The only holder of a span leaves: one that is not needed where it is takes it, long before the period of 120 s says so.
  const leaver = servers.find((each) => each !== servers[0] && isAlone(each)) as StartedProcess
  const left = selectedBlocks(leaver)
  const movers = [replica, ...servers.filter((each) => each !== leaver)]
  await leaver.stop()
  const moved = (): StartedProcess[] =>
    movers.filter((each) => selectedBlocks(each)[0] === left[0] && each.stdout.at(-1) === WHOLE_AGAIN)
  await expect.poll(() => moved().length, { timeout: 60_000 }).toBe(1)
  expectMove(moved()[0] as StartedProcess, left)
  await expectAnswer(client())
}, 480_000)

test('the start scripts, run as they stand: two servers with different blocks', async () => {
  const runScript = (script: string): StartedProcess => {
    const process = startGuideScript(script, { dataDir, env: { HF_ENDPOINT: hub.url } })
    started.push(process)
    return process
  }
  const first = runScript(startScript(0))
  const address = firstAddress(await first.waitForLine(/DHT visible multiaddrs/, 60_000))
  await first.waitForLine(READY, 120_000)
  const second = runScript(startScript(1, address))
  await second.waitForLine(READY, 120_000)
  expect([first, second].map((each) => selectedBlocks(each)[0])).toEqual([0, 8])
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
