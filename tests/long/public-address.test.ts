/**
 * The guide's method 1 under its public address: a machine that owns 119.59.0.14 and forwards 22452 to 8002, and so on; the
 * client on another machine. The machines are network namespaces. `tests/e2e` has the same on loopback.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { startHubStandIn } from '../support/hub-stand-in.ts'
import { TwoMachines } from '../support/namespaces/two-machines.ts'
import { whyNoNamespaces } from '../support/namespaces/whether.ts'
import { clientCommand, firstAddress, method1, SERVER_PORTS, toArguments } from '../support/original-guide.ts'
import { makeTempDir, removeTempDir, REPO_ROOT, type StartedProcess } from '../support/processes.ts'
import { answerOf, READY, selectedBlocks } from '../support/swarm.ts'

const PUBLIC_IP = '119.59.0.14'
const MODEL_DIR = join(REPO_ROOT, 'tests/fixtures/models/blocks32-bf16-sharded')
const WHY_NOT = whyNoNamespaces()

test.skipIf(WHY_NOT !== null)(
  `servers and client find each other by the public address${WHY_NOT === null ? '' : ` (skipped: ${WHY_NOT})`}`,
  async () => {
    const hub = await startHubStandIn({ models: { 'meta-llama/Llama-3.1-8B': MODEL_DIR } })
    const env = { HF_ENDPOINT: hub.url }
    /** A data folder a machine. */
    const [cloudData, homeData] = [makeTempDir('machine'), makeTempDir('machine')]
    const lab = new TwoMachines([PUBLIC_IP, '119.59.0.99'])
    const [cloud, home] = lab.machines
    try {
      await lab.share(hub.url)
      await lab.share(hub.storageUrl)
      await cloud.pipe(SERVER_PORTS.map(({ dht, publicDht }) => `${PUBLIC_IP}:${publicDht}=127.0.0.1:${dht}`))
      const server = (index: number, peer?: string): StartedProcess =>
        cloud.tabswarm(toArguments(method1(index, peer), PUBLIC_IP), { dataDir: cloudData, env })

      const first = server(0)
      const address = firstAddress(await first.waitForLine(/DHT visible multiaddrs/, 60_000))
      expect(address).toMatch(/^\/ip4\/119\.59\.0\.14\/tcp\/22452\/ws\/p2p\/12D3KooW\w+$/)
      await first.waitForLine(READY, 120_000)
      const servers = [first, ...[1, 2, 3].map((index) => server(index, address))]
      await Promise.all(servers.map((each) => each.waitForLine(READY, 180_000)))
      const blocks = servers.flatMap(selectedBlocks)
      expect(blocks.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 32 }, (_, block) => block))

      const second = firstAddress(await (servers[1] as StartedProcess).waitForLine(/DHT visible multiaddrs/))
      expect(second).toMatch(/^\/ip4\/119\.59\.0\.14\/tcp\/29354\/ws\/p2p\/12D3KooW\w+$/)
      const exact = ['--temperature', '0', '--max-tokens', '24', '--ignore-eos', '--json']
      const client = [...toArguments(clientCommand(`${address},${second}`), PUBLIC_IP), ...exact]
      const answer = await answerOf(home.tabswarm(client, { dataDir: homeData, env }))
      const reference = readFileSync(join(MODEL_DIR, 'reference.json'), 'utf8')
      expect(answer.ids).toEqual((JSON.parse(reference) as { chat: { greedy: number[] } }).chat.greedy)
      expect(answer.route).toHaveLength(4)
    } finally {
      await lab.stop()
      await hub.close()
      removeTempDir(cloudData)
      removeTempDir(homeData)
    }
  },
)
