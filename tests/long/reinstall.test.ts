/** "A module fails to load", from the guide: in a copy of the project whose packages are gone, its own block mends it. */
import { execFileSync } from 'node:child_process'
import { cpSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { guideBlocks } from '../support/load-balancing-guide.ts'
import { cleanEnv, makeTempDir, removeTempDir, REPO_ROOT, startProcess } from '../support/processes.ts'

let copy: string

beforeAll(() => {
  copy = makeTempDir('reinstall')
  const files = execFileSync('git', ['ls-files', '-z'], { cwd: REPO_ROOT, encoding: 'utf8' })
    .split('\0')
    .filter(Boolean)
  for (const file of files) cpSync(join(REPO_ROOT, file), join(copy, file))
})
afterAll(() => removeTempDir(copy))

test('the block installs, builds and prints the version', async () => {
  const text = guideBlocks('en').get('reinstall')?.text ?? ''
  const env = cleanEnv({ TABSWARM_DATA_DIR: join(copy, 'data') })
  delete env['TABSWARM_SETUP']
  const running = startProcess('bash', ['-ec', text], { env, cwd: copy })
  expect((await running.exited(600_000)).code, running.both.join('\n')).toBe(0)
  const { version } = JSON.parse(readFileSync(join(REPO_ROOT, 'package.json'), 'utf8')) as { version: string }
  expect(running.stdout.at(-1)).toBe(version)
})
