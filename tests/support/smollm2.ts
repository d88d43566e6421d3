/**
 * SmolLM2-135M-Instruct in the hub's layout, made once into a cache folder that git ignores. The source is not part of the
 * repository: where it is absent, tests that use it say so and count as skipped.
 */
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { REPO_ROOT } from './processes.ts'

export const SMOLLM2 = 'smollm2-135m-instruct'
const SOURCE = join(REPO_ROOT, '../shared/models', SMOLLM2)
export const SMOLLM2_SOURCE = existsSync(join(SOURCE, 'to-safetensors.mjs')) ? SOURCE : null
/** Of its eight references: one in English and one in Korean, short and firm to their ends. The others are a long test. */
export const SHORT_SMOLLM2_CASES = [1, 3]
export const WHY_SKIPPED = 'SmolLM2 is not on this machine (../shared/models/smollm2-135m-instruct)'

/** The models folder to pass as --models-dir. */
export function makeSmolLm2(): string {
  if (SMOLLM2_SOURCE === null) throw new Error(WHY_SKIPPED)
  const dir = join(REPO_ROOT, '.cache/models')
  const target = join(dir, SMOLLM2)
  if (!existsSync(join(target, 'model.safetensors.index.json'))) {
    mkdirSync(target, { recursive: true })
    execFileSync(process.execPath, [join(SMOLLM2_SOURCE, 'to-safetensors.mjs'), target], { stdio: 'ignore' })
  }
  return dir
}
