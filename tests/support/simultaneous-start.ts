/**
 * Four donors with browsers of their own that start in the same moment, in a fresh swarm on the 32-block model: they must
 * end with four different spans. Three such runs belong to `npm test`, seventeen more to `npm run test:long`.
 */
import { join } from 'node:path'
import { expect } from 'vitest'
import { startHubStandIn } from './hub-stand-in.ts'
import { REPO_ROOT } from './processes.ts'
import { READY, selectedBlocks, TestSwarm } from './swarm.ts'

const MODEL_DIR = join(REPO_ROOT, 'tests/fixtures/models/blocks32-bf16-sharded')
const ARGS = ['--model', 'meta-llama/Llama-3.1-8B', '--num_blocks', '8', '--total_blocks', '32']
const ALL_BLOCKS = Array.from({ length: 32 }, (_, block) => block)

export async function expectFourSpans(): Promise<void> {
  const hub = await startHubStandIn({ models: { 'meta-llama/Llama-3.1-8B': MODEL_DIR } })
  const swarm = new TestSwarm({ HF_ENDPOINT: hub.url })
  try {
    await swarm.relay()
    const donors = Array.from({ length: 4 }, () => swarm.donor(ARGS))
    await Promise.all(donors.map((donor) => donor.waitForLine(READY, 180_000)))
    // A donor that noticed a collision after it was ready moves at once; the last "Selected" line counts.
    await expect
      .poll(() => donors.flatMap(selectedBlocks).toSorted((a, b) => a - b), { timeout: 30_000 })
      .toEqual(ALL_BLOCKS)
  } finally {
    await swarm.stop()
    await hub.close()
  }
}
