/** What the command line says when nothing is to be served: help, refusals, missing things. Each one sentence, no stack. */
import { createServer } from 'node:net'
import { chmodSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { findChromium } from '../support/browser.ts'
import {
  cleanEnv,
  makeTempDir,
  processesOf,
  removeTempDir,
  REPO_ROOT,
  runTabswarm,
  startProcess,
  startTabswarm,
} from '../support/processes.ts'

let folder: string
beforeAll(() => (folder = makeTempDir('usage')))
afterAll(() => removeTempDir(folder))

/** Port 9 discards, where anything listens on it at all. */
const NOBODY = '/ip4/127.0.0.1/tcp/9/ws/p2p/12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA'

const oneSentence = (stderr: string): string => {
  expect(stderr).not.toMatch(/\n\s+at /)
  return stderr.trim()
}

describe('tabswarm', () => {
  it.each([
    ...['start', 'relay', 'donate', 'prompt', 'dev'].map((name) => [name, '--dht-initial-peers'] as const),
    ['probe', '--ca FILE'] as const,
    ['simulate', '--cluster FILE'] as const,
  ])('%s --help shows its options and ends', async (name, option) => {
    const { code, stdout } = await runTabswarm([name, '--help'])
    expect(code).toBe(0)
    expect(stdout).toContain(`Usage: tabswarm ${name} [options]`)
    expect(stdout).toContain(option)
    expect(stdout).toContain('TABSWARM_')
  })

  it('lists its commands, and hints at the one that was meant', async () => {
    const help = await runTabswarm(['--help'])
    expect(help.code).toBe(0)
    expect(help.stdout).toMatch(/start .*\n.*relay .*\n.*donate .*\n.*prompt .*\n.*probe .*\n.*simulate .*\n.*dev /)
    const wrong = await runTabswarm(['strat'])
    expect(wrong).toMatchObject({ code: 2, stderr: 'There is no command "strat". Did you mean start?' })
  })

  const refusals: [args: string[], code: number, sentence: string][] = [
    [['start', '--tab', '2'], 2, 'There is no option --tab. Did you mean --tabs?'],
    [['start', '9000'], 2, 'start takes no plain words, and was given "9000". With npm, write -- before the options'],
    [['start', '--prompt', 'a', '--tabs', '0'], 2, '--prompt needs tabs that answer, and --tabs is 0.'],
    [['prompt', 'hi', '--speculate', '16'], 2, '--speculate is "16", and must be off, auto or 1 to 15.'],
    [['start', '--json'], 2, '--json shows an answer, and there is no --prompt.'],
    [['donate', '--num_blocks', '0', '--dht_port', '0'], 2, '--num_blocks is "0", and must be 1 or more.'],
    [['donate', '--dht_initial_peers', 'nonsense'], 2, 'nonsense'],
    [['start', '--models-dir', '/nowhere'], 2, '--models-dir /nowhere is not a folder.'],
    [['start', '--port', '0', '--prompt', '  '], 1, 'the prompt is empty. Write something first.'],
    [['start', '--port', '0', '--prompt', 'word '.repeat(1200)], 1, 'the prompt has 1'],
    [['start', '--port', '0', '--prompt-ids', '1,4096'], 1, 'token id 4096 is not from 0 to 2047.'],
    [['donate', '--splits', '8,16', '--dht_port', '0'], 2, 'splits is given without stage: fixed mode needs both.'],
    [['donate', '--stage', '1', '--dht_port', '0'], 2, 'stage is given without splits: fixed mode needs both.'],
    [['prompt'], 1, 'There is no prompt.'],
    [['prompt', 'hi', '--stage', '2'], 2, '--stage 2 is a server, and prompt is the client (stage 0).'],
    [['prompt', 'hi', '--prompt', 'ho'], 2, 'The prompt was given more than once.'],
    [
      ['prompt', 'hi', '--dht_initial_peers', NOBODY],
      1,
      `No relay answers at ${NOBODY}, and without one: No model was`,
    ],
    [['prompt', 'hi', '--dht_initial_peers', '/ip4/999.1.1.1/tcp/1/p2p/x'], 2, '/ip4/999.1.1.1'],
  ]
  const cases = refusals.map(([args, ...rest]) => [JSON.stringify(args).slice(0, 80), args, ...rest] as const)
  it.each(cases)('%s ends with one sentence', async (_name, args, code, sentence) => {
    const run = await runTabswarm(args)
    expect(oneSentence(run.stderr)).toContain(sentence)
    expect(run).toMatchObject({ code, stdout: '' })
  })

  it('prints every option with its source', async () => {
    const env = { HF_ENDPOINT: 'http://127.0.0.1:9' }
    const { code, stdout } = await runTabswarm(['start', '--num_blocks', '3', '--print-config'], { env })
    expect(code).toBe(0)
    const config = JSON.parse(stdout) as Record<string, { value: unknown; from: string }>
    expect(config['num-blocks']).toEqual({ value: 3, from: '--num_blocks' })
    expect(config['hub-url']).toEqual({ value: 'http://127.0.0.1:9', from: 'HF_ENDPOINT' })
    expect(config['tabs']).toEqual({ value: 4, from: 'default' })
  })

  it('works from any folder, through a link', async () => {
    const link = join(folder, 'tabswarm')
    symlinkSync(join(REPO_ROOT, 'cli/tabswarm.mjs'), link)
    const started = startProcess(process.execPath, [link, '--version'], { env: cleanEnv(), cwd: folder })
    expect(await started.exited()).toMatchObject({ code: 0 })
    expect(started.stdout).toEqual(['0.1.0'])
  })

  it('says so when Node is too old', async () => {
    const fake = join(folder, 'old-node.cjs')
    writeFileSync(
      fake,
      "Object.defineProperty(process, 'versions', { value: { ...process.versions, node: '20.18.3' } })",
    )
    const { code, stderr } = await runTabswarm(['start'], { env: { NODE_OPTIONS: `--require ${fake}` } })
    expect(code).toBe(1)
    expect(oneSentence(stderr)).toMatch(/^Tabswarm needs Node 20\.19 or newer, and this is Node 20\.18\.3: install/)
  })

  it('says so when the port is taken', async () => {
    const server = createServer().listen(0, '127.0.0.1')
    await new Promise((resolve) => server.once('listening', resolve))
    const { port } = server.address() as { port: number }
    try {
      const args = ['--port', String(port), '--host', '127.0.0.1']
      for (const command of ['start', 'relay']) {
        const { code, stderr } = await runTabswarm([command, ...args])
        expect(code).toBe(1)
        const lines = oneSentence(stderr).split('\n')
        expect(lines.at(-1)).toMatch(new RegExp(`^Port ${port} on 127.0.0.1 is taken by another program\\. Stop that`))
      }
    } finally {
      server.close()
    }
  })

  it('says so when there is no browser', async () => {
    const named = await runTabswarm(['start', '--port', '0', '--chromium', '/nowhere/chromium'])
    expect(named.code).toBe(1)
    expect(oneSentence(named.stderr)).toContain(
      '/nowhere/chromium is not a browser that can be run. Correct --chromium',
    )
    const empty = join(folder, 'empty')
    mkdirSync(empty)
    const env = { PATH: empty, PLAYWRIGHT_BROWSERS_PATH: empty, TABSWARM_CHROMIUM: '' }
    const none = await runTabswarm(['start', '--port', '0', '--install-browser', 'never'], { env })
    // A machine may keep a browser in a usual folder outside PATH: then this start goes on, and is another test's matter.
    expect(none.code).toBe(1)
    expect(oneSentence(none.stderr)).toContain('No Chrome or Chromium was found')
  })

  it('says so when the browser has no WebGPU adapter, and leaves no browser behind', async () => {
    const wrapper = join(folder, 'chromium-without-adapter')
    const script = [
      '#!/usr/bin/env bash',
      'args=()',
      'for arg in "$@"; do',
      '  case "$arg" in *webgpu*) ;; *) args+=("$arg");; esac',
    ]
    writeFileSync(wrapper, [...script, 'done', `exec '${findChromium()}' "\${args[@]}" --disable-gpu`, ''].join('\n'))
    chmodSync(wrapper, 0o755)
    const run = await runTabswarm(['start', '--port', '0', '--chromium', wrapper], { dataDir: folder })
    expect(run.code).toBe(1)
    expect(oneSentence(run.stderr)).toMatch(
      /The browser offers no WebGPU adapter, not even the software one\. Leave out --backend to compute with WebAssembly/,
    )
    expect(run.stdout).not.toContain('Selected blocks')
    await expect.poll(() => processesOf(folder)).toEqual([])
  })

  it('refuses a slot that another process holds, and more tabs than memory', async () => {
    const holder = startTabswarm(['start', '--tabs', '0', '--port', '0', '--slot', '3'], { dataDir: folder })
    try {
      await holder.waitForLine(/^Ready:/)
      const taken = await runTabswarm(['start', '--tabs', '0', '--port', '0', '--slot', '3'], { dataDir: folder })
      expect(taken.code).toBe(1)
      expect(oneSentence(taken.stderr)).toBe(
        `Profile slot 3 is in use by process ${holder.pid}. Leave out --slot to take the first free one, or stop that process.`,
      )
      const many = await runTabswarm(['start', '--tabs', '5000', '--port', '0'], { dataDir: folder })
      expect(many.code).toBe(1)
      expect(oneSentence(many.stderr)).toMatch(/5000 tabs with 1 blocks each need about \d+\.\d GB of memory/)
    } finally {
      await holder.stop()
    }
  })

  it('keeps its address over a restart, and gets a new one with --fresh', async () => {
    const address = async (extra: string[]): Promise<string> => {
      const started = startTabswarm(['start', '--tabs', '0', '--port', '0', ...extra], { dataDir: folder })
      try {
        const line = await started.waitForLine(/^DHT visible multiaddrs/)
        await started.waitForLine(/^Ready:/)
        return /p2p\/(\w+)/.exec(line)?.[1] ?? ''
      } finally {
        await started.stop()
      }
    }
    const first = await address([])
    expect(first).toMatch(/^12D3KooW/)
    expect(await address([])).toBe(first)
    expect(await address(['--fresh'])).not.toBe(first)
  })
})
