/** What `npm test` counts: nothing that failed may pass for a test that was left out. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import LineReporter from '../../reporter.mjs'
import { makeTempDir, removeTempDir } from '../../support/processes.ts'

let folder: string
beforeEach(() => {
  folder = makeTempDir('report')
  vi.stubEnv('TABSWARM_TEST_REPORT', join(folder, 'report.jsonl'))
})
afterEach(() => {
  vi.unstubAllEnvs()
  removeTempDir(folder)
})

type Suite = Parameters<LineReporter['onTestSuiteResult']>[0]

function suite(errors: { message: string }[]): Suite {
  const fake = { fullName: 'a suite', module: { relativeModuleId: 'tests/e2e/x.test.ts' }, errors: () => errors }
  return fake as unknown as Suite
}

function reported(): unknown[] {
  return readFileSync(join(folder, 'report.jsonl'), 'utf8')
    .trim()
    .split('\n')
    .map((line): unknown => JSON.parse(line))
}

test('a hook of a suite that failed is a failure with its message', () => {
  const reporter = new LineReporter()
  reporter.onTestSuiteResult(suite([]))
  reporter.onTestSuiteResult(suite([{ message: 'address in use' }]))
  expect(reported()).toEqual([
    { kind: 'file', state: 'failed', name: 'a suite', file: 'tests/e2e/x.test.ts', errors: ['address in use'] },
  ])
})
