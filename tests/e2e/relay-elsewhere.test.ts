/**
 * Donors whose relay is on another machine, over a plain WebSocket: their tabs open the page from their own process on
 * loopback, where it is a secure context, and never from the relay. Two machines are two network namespaces.
 */
import { readFileSync } from 'node:fs'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { TwoMachines } from '../support/namespaces/two-machines.ts'
import { whyNoNamespaces } from '../support/namespaces/whether.ts'
import { firstAddress } from '../support/original-guide.ts'
import { makeTempDir, processTree, removeTempDir, type StartedProcess } from '../support/processes.ts'
import { answerOf, READY, tinytalesCase } from '../support/swarm.ts'

const RELAY_IP = '10.77.0.1'
const STORY = tinytalesCase('Tell me a story.')
const WHY_NOT = whyNoNamespaces()

describe.skipIf(WHY_NOT !== null)(
  `a relay on another machine${WHY_NOT === null ? '' : ` (skipped: ${WHY_NOT})`}`,
  () => {
    let lab: TwoMachines
    /** A data folder a machine. */
    let dataDirs: [string, string]
    beforeEach(() => {
      dataDirs = [makeTempDir('machine'), makeTempDir('machine')]
      lab = new TwoMachines([RELAY_IP, '10.77.0.2'])
    })
    afterEach(async () => {
      await lab.stop()
      dataDirs.forEach(removeTempDir)
    })

    test('donate joins it on plain ws, and prompt on the relay’s machine is answered by these tabs', async () => {
      const [cloud, home] = lab.machines
      const relay = cloud.tabswarm(['relay', '--port', '9000', '--public-ip', RELAY_IP, '--public-port', '9001'], {
        dataDir: dataDirs[0],
      })
      const address = firstAddress(await relay.waitForLine(/DHT visible multiaddrs/, 60_000))
      expect(address).toContain(`/ip4/${RELAY_IP}/tcp/9001/ws/`)
      // The only way to the relay from outside; it tells what was asked for.
      const door = await cloud.pipe([`${RELAY_IP}:9001=127.0.0.1:9000`])
      const asked = (): string[] => door.stdout.filter((line) => line !== 'ready')
      const isWebSocket = (line: string): boolean => line.includes('| websocket |')

      const donate = ['donate', '--dht_initial_peers', address, '--model', 'tinytales', '--num_blocks', '4']
      const donors = [1, 2].map(() => home.tabswarm(donate, { dataDir: dataDirs[1] }))
      await Promise.all(donors.map((donor) => donor.waitForLine(READY, 120_000)))
      expect(asked().filter(isWebSocket).length).toBeGreaterThanOrEqual(2)
      expect(new Set(asked().filter((line) => !isWebSocket(line)))).toEqual(
        new Set(['GET /config.json HTTP/1.1 | node']),
      )
      for (const donor of donors) expect(pageServerOf(donor)).toMatch(/^MAP tabswarm\.localhost 127\.0\.0\.1:\d+$/)

      const prompt = [
        'prompt',
        '--dht_initial_peers',
        address,
        '--temperature',
        '0',
        '--json',
        '--prompt',
        STORY.prompt,
      ]
      const answer = await answerOf(cloud.tabswarm(prompt, { dataDir: dataDirs[0] }))
      expect(answer.ids).toEqual(STORY.greedy)
      expect(answer.route.map(({ start, end }) => [start, end])).toEqual([
        [0, 4],
        [4, 8],
      ])
    })
  },
)

/** Where a donor's browser finds the page of its fixed origin. */
function pageServerOf(donor: StartedProcess): string | undefined {
  const commands = processTree(donor.pid).map((pid) => readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0'))
  const rules = commands.flat().find((word) => word.startsWith('--host-resolver-rules='))
  return rules?.slice('--host-resolver-rules='.length)
}
