/**
 * `npm test`: gets packages, builds and a browser ready, runs the Vitest projects one after another, lists what failed,
 * and ends with one plain line `N passed, N failed`. A missing adapter or browser is a failure, never a skip.
 * `--long` runs what that leaves out, `--bench` the benchmarks; other words go to Vitest as file filters.
 */
import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, existsSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { prepare } from '../cli/setup/setup.mjs'

/**
 * @typedef {{ kind: string, state: string, name: string, file: string, repeated?: boolean, durationMs?: number, errors: string[] }} Entry
 */

/** A second chance for tests with real browsers on a busy machine; more than so many used ones fail the run. */
const E2E_RETRIES = 1
const MAX_REPEATED = 2
const SLOWEST_SHOWN = 12

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const { long, bench, filters } = readArguments(process.argv.slice(2))

/** @param {readonly string[]} args */
function readArguments(args) {
  return {
    long: args.includes('--long'),
    bench: args.includes('--bench'),
    filters: args.filter((arg) => arg !== '--long' && arg !== '--bench'),
  }
}

async function main() {
  const started = Date.now()
  await prepare(root, { dev: true })
  const program = await import(pathToFileURL(join(root, 'dist', 'node', 'main.js')).href)
  const chromium = await program.ensureBrowser()
  const projects = bench ? ['bench'] : long ? ['long'] : ['unit', 'gpu', 'integration', 'e2e']
  /** @type {Entry[]} */
  const entries = []
  for (const project of projects) entries.push(...(await runProject(project, chromium)))
  summarize(entries, Math.round((Date.now() - started) / 1000))
}

/**
 * @param {string} project
 * @param {string} chromium
 * @returns {Promise<Entry[]>}
 */
async function runProject(project, chromium) {
  const started = Date.now()
  const folder = mkdtempSync(join(tmpdir(), 'tabswarm-tests-'))
  const report = join(folder, 'report.jsonl')
  const args = [join(root, 'node_modules', 'vitest', 'vitest.mjs'), 'run', '--project', project, '--passWithNoTests']
  args.push('--reporter', bench ? 'default' : join(root, 'tests', 'reporter.mjs'))
  if (bench) args.push('--reporter', join(root, 'tests', 'reporter.mjs'))
  // Output of tests is for whoever runs one file by hand; benchmarks are all about theirs.
  if (!bench) args.push('--silent=passed-only')
  if (project === 'e2e') args.push('--retry', String(E2E_RETRIES))
  const env = {
    ...process.env,
    TABSWARM_TEST_REPORT: report,
    TABSWARM_SETUP: 'skip',
    TABSWARM_CHROMIUM: chromium,
    ...(process.stdout.isTTY ? {} : { NO_COLOR: '1', FORCE_COLOR: undefined }),
  }
  const { code, output } = await run(process.execPath, [...args, ...filters], env)
  const entries = readReport(report)
  rmSync(folder, { recursive: true, force: true })
  const failed = entries.filter((entry) => entry.state === 'failed').length
  if (code !== 0 && failed === 0) {
    entries.push({
      kind: 'run',
      state: 'failed',
      name: `(project ${project})`,
      file: '',
      errors: [output.trim() || `vitest ended with ${code}`],
    })
  }
  const passed = entries.filter((entry) => entry.state === 'passed').length
  const seconds = Math.round((Date.now() - started) / 1000)
  console.log(
    `${project}: ${passed} passed, ${Math.max(failed, entries.filter((e) => e.state === 'failed').length)} failed in ${seconds} s`,
  )
  return entries
}

/**
 * @param {string} command
 * @param {readonly string[]} args
 * @param {NodeJS.ProcessEnv} env
 * @returns {Promise<{ code: number, output: string }>}
 */
function run(command, args, env) {
  return new Promise((resolve) => {
    const child = spawn(command, args, { cwd: root, env, stdio: ['ignore', bench ? 'inherit' : 'pipe', 'inherit'] })
    let output = ''
    child.stdout?.on('data', (chunk) => (output = (output + chunk).slice(-20_000)))
    const forward = () => child.kill('SIGINT')
    process.on('SIGINT', forward)
    process.on('SIGTERM', forward)
    child.once('close', (code, signal) => {
      process.off('SIGINT', forward)
      process.off('SIGTERM', forward)
      if (signal === 'SIGINT') process.exit(130)
      resolve({ code: code ?? 1, output })
    })
  })
}

/**
 * @param {string} file
 * @returns {Entry[]}
 */
function readReport(file) {
  if (!existsSync(file)) return []
  return readFileSync(file, 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line))
}

/**
 * @param {readonly Entry[]} entries
 * @param {number} seconds
 */
function summarize(entries, seconds) {
  const failed = entries.filter((entry) => entry.state === 'failed')
  for (const entry of failed) {
    console.log(`\nFAILED ${entry.file} › ${entry.name}`)
    for (const error of entry.errors) console.log(indent(error))
  }
  const repeated = entries.filter((entry) => entry.repeated && entry.state === 'passed')
  if (failed.length > 0) console.log('')
  for (const entry of repeated) console.log(`repeated: ${entry.file} › ${entry.name}`)
  if (repeated.length > MAX_REPEATED)
    console.log(`More than ${MAX_REPEATED} tests passed only when repeated: the run fails.`)
  const passed = entries.filter((entry) => entry.state === 'passed').length
  const skipped = entries.filter((entry) => entry.state === 'skipped').length
  if (!bench) printSlowest(entries)
  console.log(`Ran in ${seconds} s.`)
  if (failed.length > 0 || repeated.length > MAX_REPEATED || passed === 0) process.exitCode = 1
  console.log(`${passed} passed, ${failed.length} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`)
}

/** Where the time goes, for whoever keeps the whole under its limit. @param {readonly Entry[]} entries */
function printSlowest(entries) {
  const files = entries.filter(({ kind }) => kind === 'time')
  const slowest = files.toSorted((a, b) => (b.durationMs ?? 0) - (a.durationMs ?? 0)).slice(0, SLOWEST_SHOWN)
  const lines = slowest.map(({ file, durationMs }) => `${file} ${Math.round((durationMs ?? 0) / 1000)} s`)
  console.log(`slowest files: ${lines.join(', ')}`)
}

/** @param {string} text */
function indent(text) {
  return text
    .split('\n')
    .map((line) => `  ${line}`)
    .join('\n')
}

main().catch((error) => {
  console.error(error.sentence ?? error.stack)
  console.log('0 passed, 1 failed')
  process.exitCode = 1
})
