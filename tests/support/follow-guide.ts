/**
 * Follows `docs/load-balancing.md` from top to bottom, in one of its languages, as its reader would: every block is run, and
 * what a block says is printed is looked for. The model is a small one of 32 blocks under the guide's name, from a stand-in for
 * the hub that wants the licence accepted; ports 22452 and so on lead to the servers' own, as a cloud's would.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { MEMBER } from './hub-cases.ts'
import { startHubStandIn, type HubStandIn } from './hub-stand-in.ts'
import { guideBlocks, GuideShell, printedPatterns, type GuideLanguage } from './load-balancing-guide.ts'
import { firstAddress, SERVER_PORTS } from './original-guide.ts'
import { makeTempDir, processesOf, removeTempDir, REPO_ROOT, type StartedProcess } from './processes.ts'
import { READY, selectedBlocks } from './swarm.ts'
import { startTcpForward, type TcpForward } from './tcp-forward.ts'

const MODEL = 'meta-llama/Llama-3.1-8B'
const MODEL_DIR = join(REPO_ROOT, 'tests/fixtures/models/blocks32-bf16-sharded')
const ALL_BLOCKS = Array.from({ length: 32 }, (_, block) => block)
/** Run by `tests/long/reinstall.test.ts`, in a copy of the project: it removes its packages first. */
const RUN_ELSEWHERE = new Set(['reinstall'])

export function followGuide(language: GuideLanguage): void {
  describe(`the load balancing guide (${language})`, () => {
    const blocks = guideBlocks(language)
    const used = new Set<string>()
    const started: StartedProcess[] = []
    const forwards: TcpForward[] = []
    let folder: string
    let hub: HubStandIn
    let shell: GuideShell

    beforeAll(async () => {
      folder = makeTempDir('guide')
      hub = await startHubStandIn({
        models: { [MODEL]: MODEL_DIR },
        gated: { [MODEL]: { tokens: [MEMBER] } },
        knownTokens: [MEMBER],
      })
      for (const { dht, publicDht } of SERVER_PORTS) {
        forwards.push(await startTcpForward({ port: publicDht, toPort: dht }))
      }
      shell = new GuideShell({ folder, hubUrl: hub.url, token: MEMBER })
    })

    afterEach(stopAll)

    afterAll(async () => {
      await stopAll()
      await Promise.all(forwards.map((forward) => forward.stop()))
      await hub?.close()
      expect(processesOf(folder)).toEqual([])
      removeTempDir(folder)
    })

    async function stopAll(): Promise<void> {
      await Promise.all(started.splice(0).map((each) => each.stop()))
    }

    function start(name: string, ...pasted: string[]): StartedProcess {
      used.add(name)
      const running = shell.start(blocks.get(name), pasted)
      started.push(running)
      return running
    }

    async function startServer(name: string, ...pasted: string[]): Promise<StartedProcess> {
      const server = start(name, ...pasted)
      await server.waitForLine(READY, 120_000)
      return server
    }

    async function addressOf(server: StartedProcess): Promise<string> {
      return firstAddress(await server.waitForLine(/DHT visible multiaddrs/, 60_000))
    }

    async function run(name: string): Promise<{ code: number | null; both: string[] }> {
      used.add(name)
      return shell.run(blocks.get(name))
    }

    /** Every line of a `text` block is among the printed ones, in this order. */
    function expectPrinted(server: StartedProcess, name: string): void {
      used.add(name)
      const block = blocks.get(name)
      if (block === undefined) throw new Error(`no block ${name}`)
      let from = 0
      for (const pattern of printedPatterns(block)) {
        const at = server.both.findIndex((line, index) => index >= from && pattern.test(line))
        expect(at, `${pattern} in:\n${server.both.join('\n')}`).not.toBe(-1)
        from = at + 1
      }
    }

    test('preparation: the version is printed; without a login the model is refused as gated, with one it is read', async () => {
      const { version } = JSON.parse(readFileSync(join(REPO_ROOT, 'package.json'), 'utf8')) as { version: string }
      expect(await run('prepare')).toEqual({ code: 0, both: [version] })
      const refused = start('server1')
      expect((await refused.exited(60_000)).code).toBe(1)
      expect(refused.both.join('\n')).toMatch(/meta-llama\/Llama-3\.1-8B is gated on .*accept the licence/)
      expect((await run('login')).code).toBe(0)
    })

    test('method 1: four servers with different blocks, and the prompting side is answered by all of them', async () => {
      const first = await startServer('server1')
      expectPrinted(first, 'server1-lines')
      const address = await addressOf(first)
      expect(address).toMatch(/^\/ip4\/127\.0\.0\.1\/tcp\/22452\/ws\/p2p\/12D3KooW\w+$/)
      const second = await startServer('server2', address)
      expectPrinted(second, 'server2-lines')
      // In the same second: no delay is needed.
      const others = await Promise.all(['server3', 'server4'].map((name) => startServer(name, address)))
      const blocksOfAll = [first, second, ...others].flatMap(selectedBlocks)
      expect(blocksOfAll.toSorted((a, b) => a - b)).toEqual(ALL_BLOCKS)

      const client = start('client', address, await addressOf(second))
      expect((await client.exited(120_000)).code, client.both.join('\n')).toBe(0)
      expect(client.stdoutText().trim()).not.toBe('')
      expect(client.stderr.join('\n')).toMatch(/^Route: 0:8 at .* 8:16 at .* 16:24 at .* 24:32 at /m)

      const calm = await startServer('calm', address)
      expect(selectedBlocks(calm)).toHaveLength(8)

      const probe = start('probe', address)
      expect((await probe.exited(120_000)).code, probe.both.join('\n')).toBe(0)
    }, 480_000)

    test('method 2: two servers with different blocks', async () => {
      const first = await startServer('method2-server1')
      const second = await startServer('method2-server2', await addressOf(first))
      expect([first, second].map((server) => selectedBlocks(server)[0])).toEqual([0, 8])
    })

    test('the start scripts: two servers, and a client that names the blocks that nobody serves', async () => {
      const first = await startServer('script-server1')
      const address = await addressOf(first)
      const second = await startServer('script-server2', address)
      expect([first, second].map((server) => selectedBlocks(server)[0])).toEqual([0, 8])
      const client = start('script-client', address, await addressOf(second))
      await client.waitForLine(/^Waiting: nobody serves blocks 16–31\./, 60_000)
    })

    test('every block of the guide was run', () => {
      expect([...blocks.keys()].filter((name) => !used.has(name) && !RUN_ELSEWHERE.has(name))).toEqual([])
    })
  })
}
