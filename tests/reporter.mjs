/**
 * Vitest reporter of `npm test`: one line of progress that rewrites itself on a terminal, and each result as a line of
 * JSON in the file TABSWARM_TEST_REPORT, which tests/run.mjs adds up. Passing tests' output is not shown.
 */
import { appendFileSync } from 'node:fs'

/** @typedef {import('vitest/node').TestCase} TestCase */
/** @typedef {import('vitest/node').TestModule} TestModule */
/** @typedef {import('vitest/node').TestSuite} TestSuite */

export default class LineReporter {
  #done = 0
  #failed = 0
  #shown = false

  /** @param {TestCase} test */
  onTestCaseReady(test) {
    this.#show(test.fullName)
  }

  /** @param {TestCase} test */
  onTestCaseResult(test) {
    const result = test.result()
    const diagnostic = test.diagnostic()
    this.#done += 1
    if (result.state === 'failed') this.#failed += 1
    record({
      kind: 'test',
      state: result.state,
      name: test.fullName,
      file: test.module.relativeModuleId,
      repeated: (diagnostic?.retryCount ?? 0) > 0,
      durationMs: Math.round(diagnostic?.duration ?? 0),
      errors: (result.errors ?? []).map(errorText),
    })
    this.#show(test.fullName)
  }

  /** A `beforeAll` or `afterAll` that failed: no test says so, and those below it count as skipped. @param {TestSuite} suite */
  onTestSuiteResult(suite) {
    this.#recordBroken(suite.fullName, suite.module.relativeModuleId, suite.errors())
  }

  /** Its time, hooks included; then a file that could not be loaded, or a hook that failed. @param {TestModule} module */
  onTestModuleEnd(module) {
    const file = module.relativeModuleId
    record({ kind: 'time', state: 'time', name: '', file, durationMs: module.diagnostic().duration, errors: [] })
    this.#recordBroken('(the file itself)', file, module.errors())
  }

  /**
   * @param {readonly TestModule[]} _modules
   * @param {readonly import('@vitest/utils').SerializedError[]} unhandled
   */
  onTestRunEnd(_modules, unhandled) {
    for (const error of unhandled) {
      record({
        kind: 'unhandled',
        state: 'failed',
        name: '(error outside a test)',
        file: '',
        errors: [errorText(error)],
      })
    }
    if (this.#shown) process.stderr.write('\r\u001B[K')
  }

  /**
   * @param {string} name
   * @param {string} file
   * @param {readonly import('@vitest/utils').SerializedError[]} errors
   */
  #recordBroken(name, file, errors) {
    if (errors.length === 0) return
    this.#failed += 1
    record({ kind: 'file', state: 'failed', name, file, errors: errors.map(errorText) })
  }

  /** @param {string} name */
  #show(name) {
    if (!process.stderr.isTTY) return
    this.#shown = true
    const columns = process.stderr.columns ?? 80
    const line = `  ${this.#done} done${this.#failed > 0 ? `, ${this.#failed} failed` : ''} · ${name}`
    process.stderr.write(`\r\u001B[K${line.slice(0, columns - 1)}`)
  }
}

/** @param {object} entry */
function record(entry) {
  const file = process.env['TABSWARM_TEST_REPORT']
  if (file !== undefined) appendFileSync(file, `${JSON.stringify(entry)}\n`)
}

/** @param {{ message?: string, stack?: string, diff?: string }} error */
function errorText(error) {
  const where = (error.stack ?? '').split('\n').find((line) => line.includes('/tests/') || /\.(ts|mjs):\d/.test(line))
  return [error.message ?? 'unknown error', error.diff, where?.trim()].filter((part) => part).join('\n')
}
