// Type-checks each folder with its own tsconfig, one after another: a folder sees only the globals it may use
// (`swarm` and `session` have no DOM and no Node), so a wrong import or global fails here.
import { spawnSync } from 'node:child_process'

const projects = ['swarm', 'net', 'hub', 'session', 'relay', 'cli', 'web', 'tests']
let failed = 0
for (const project of projects) {
  const run = spawnSync(process.execPath, ['node_modules/typescript/bin/tsc', '-p', project], { stdio: 'inherit' })
  if (run.status !== 0) {
    failed += 1
    console.error(`types: ${project} failed`)
  }
}
if (failed > 0) process.exit(1)
console.log(`types: ${projects.length} projects passed`)
