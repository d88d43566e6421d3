/**
 * Tabs that start in the same second never keep the same span. Each run starts four donors at once, with browsers of their
 * own, in a fresh swarm. Three runs here, the other seventeen with TABSWARM_LONG=1 (`npm run test:long`).
 */
import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { startHubStandIn } from '../support/hub-stand-in.ts'
import { REPO_ROOT } from '../support/processes.ts'
import { READY, selectedBlocks, TestSwarm } from '../support/swarm.ts'

const RUNS = process.env['TABSWARM_LONG'] === '1' ? 17 : 3
const MODEL_DIR = join(REPO_ROOT, 'tests/fixtures/models/blocks32-bf16-sharded')

let swarm: TestSwarm | null = null
afterEach(async () => {
  await swarm?.stop()
  swarm = null
})

test.each(Array.from({ length: RUNS }, (_, i) => i + 1))('simultaneous start %i: four donors, four spans', async () => {
  const hub = await startHubStandIn({ models: { 'meta-llama/Llama-3.1-8B': MODEL_DIR } })
  try {
    swarm = new TestSwarm({ HF_ENDPOINT: hub.url })
    await swarm.relay()
    const args = ['--model', 'meta-llama/Llama-3.1-8B', '--num_blocks', '8', '--total_blocks', '32']
    const donors = Array.from({ length: 4 }, () => (swarm as TestSwarm).donor(args))
    await Promise.all(donors.map((donor) => donor.waitForLine(READY, 180_000)))
    // A donor that noticed a collision after it was ready moves at once; the last "Selected" line counts.
    await expect
      .poll(() => donors.flatMap(selectedBlocks).toSorted((a, b) => a - b), { timeout: 30_000 })
      .toEqual(Array.from({ length: 32 }, (_, i) => i))
  } finally {
    await swarm?.stop()
    swarm = null
    await hub.close()
  }
})
