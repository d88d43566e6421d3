/**
 * `npm test`: gets packages, builds and a browser ready, runs the Vitest projects one after another, lists what failed,
 * and ends with one plain line `N passed, N failed`. A missing adapter or browser is a failure, never a skip.
 * `--long` runs what that leaves out, `--bench` the benchmarks; other words go to Vitest as file filters. Of the engine's benchmark
 * `--only ID…` runs these rows, and `--json` writes its results to standard output and everything else to standard error.
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
/** As the place of a child's standard output. */
const STDERR = 2
const SLOWEST_SHOWN = 12

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const { long, bench, json, only, filters } = readArguments(process.argv.slice(2))

/** @param {readonly string[]} args */
function readArguments(args) {
  const at = args.indexOf('--only')
  const before = at < 0 ? args : args.slice(0, at)
  const after = at < 0 ? [] : args.slice(at + 1)
  const flags = ['--long', '--bench', '--json']
  return {
    long: args.includes('--long'),
    bench: args.includes('--bench'),
    json: args.includes('--json'),
    only: after.filter((arg) => !flags.includes(arg)),
    filters: before.filter((arg) => !flags.includes(arg)),
  }
}

/** With `--json` standard output is the results alone. @param {string} line */
function say(line) {
  if (json) console.error(line)
  else console.log(line)
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
    ...(only.length > 0 ? { TABSWARM_BENCH_ONLY: only.join(' ') } : {}),
    ...(json ? { TABSWARM_BENCH_JSON: join(folder, 'results.json') } : {}),
    TABSWARM_SETUP: 'skip',
    TABSWARM_CHROMIUM: chromium,
    ...(process.stdout.isTTY ? {} : { NO_COLOR: '1', FORCE_COLOR: undefined }),
  }
  const { code, output } = await run(process.execPath, [...args, ...filters], env)
  const entries = readReport(report)
  if (json && existsSync(join(folder, 'results.json'))) {
    process.stdout.write(readFileSync(join(folder, 'results.json'), 'utf8'))
  }
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
  say(
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
    const child = spawn(command, args, {
      cwd: root,
      env,
      stdio: ['ignore', json ? STDERR : bench ? 'inherit' : 'pipe', 'inherit'],
    })
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
    say(`\nFAILED ${entry.file} › ${entry.name}`)
    for (const error of entry.errors) say(indent(error))
  }
  const repeated = entries.filter((entry) => entry.repeated && entry.state === 'passed')
  if (failed.length > 0) say('')
  for (const entry of repeated) {
    say(`repeated: ${entry.file} › ${entry.name}`)
    // Why the first try failed is what whoever mends it needs.
    for (const error of entry.errors) say(indent(error))
  }
  if (repeated.length > MAX_REPEATED) say(`More than ${MAX_REPEATED} tests passed only when repeated: the run fails.`)
  const passed = entries.filter((entry) => entry.state === 'passed').length
  const skipped = entries.filter((entry) => entry.state === 'skipped').length
  if (!bench) printSlowest(entries)
  say(`Ran in ${seconds} s.`)
  if (failed.length > 0 || repeated.length > MAX_REPEATED || passed === 0) process.exitCode = 1
  say(`${passed} passed, ${failed.length} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`)
}

/** Where the time goes, for whoever keeps the whole under its limit. @param {readonly Entry[]} entries */
function printSlowest(entries) {
  const files = entries.filter(({ kind }) => kind === 'time')
  const slowest = files.toSorted((a, b) => (b.durationMs ?? 0) - (a.durationMs ?? 0)).slice(0, SLOWEST_SHOWN)
  const lines = slowest.map(({ file, durationMs }) => `${file} ${Math.round((durationMs ?? 0) / 1000)} s`)
  say(`slowest files: ${lines.join(', ')}`)
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
  say('0 passed, 1 failed')
  process.exitCode = 1
})
