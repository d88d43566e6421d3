/**
 * A real swarm of processes: one `tabswarm relay` and any number of `tabswarm donate`, each with a browser of its own, so
 * that each can be killed by itself. Everything is on loopback and ends with `stop`.
 */
import { readFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import type { Timings } from '../../session/types.ts'
import { firstAddress } from './original-guide.ts'
import { makeTempDir, removeTempDir, REPO_ROOT, startTabswarm, type StartedProcess } from './processes.ts'

export const READY = /server ready, blocks=/
export const SELECTED = /^Selected blocks: \[([\d, ]+)\]$/

export interface PromptAnswer {
  text: string
  ids: number[]
  promptIds: number[]
  route: { peer: string; start: number; end: number; path: 'direct' | 'relayed'; weights: string; backend: string }[]
  finish: 'stop' | 'length' | 'cancel' | 'error'
  weights: string
  backend: string
  timings: Timings
}

export interface ReferenceCase {
  kind: 'chat' | 'raw'
  prompt: string
  input_ids: number[]
  greedy: number[]
  greedy_text: string
  steps_before_a_near_tie: number
}

export function tinytalesCases(): ReferenceCase[] {
  const path = join(REPO_ROOT, 'tests/fixtures/models/tinytales/reference.json')
  return JSON.parse(readFileSync(path, 'utf8')) as ReferenceCase[]
}

export function tinytalesCase(prompt: string): ReferenceCase {
  const found = tinytalesCases().find((candidate) => candidate.prompt === prompt)
  if (found === undefined) throw new Error(`no reference for: ${prompt}`)
  return found
}

/** The span a donor chose last, from its printed line. */
export function selectedBlocks(donor: StartedProcess): number[] {
  const line = donor.both.findLast((candidate) => SELECTED.test(candidate))
  const blocks = SELECTED.exec(line ?? '')?.[1]
  if (blocks === undefined) throw new Error(`no "Selected blocks" line:\n${donor.both.slice(-20).join('\n')}`)
  return blocks.split(', ').map(Number)
}

/** The answer of a `prompt --json` that runs. @throws Error with all that it printed */
export async function answerOf(prompt: StartedProcess, timeoutMs = 120_000): Promise<PromptAnswer> {
  const { code } = await prompt.exited(timeoutMs)
  if (code !== 0) throw new Error(`prompt ended with ${code}:\n${prompt.both.join('\n')}`)
  return JSON.parse(prompt.stdoutText()) as PromptAnswer
}

/** A port that was free a moment ago. */
export async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(0, '127.0.0.1', resolve)
  })
  const address = server.address()
  await new Promise<void>((resolve) => server.close(() => resolve()))
  if (address === null || typeof address === 'string') throw new Error('a TCP server has a port')
  return address.port
}

export class TestSwarm {
  readonly dataDir = makeTempDir('swarm')
  readonly relays: StartedProcess[] = []
  readonly donors: StartedProcess[] = []
  /** Addresses to paste, one a relay. */
  readonly addresses: string[] = []
  readonly ports: number[] = []
  readonly env: Record<string, string>

  constructor(env: Record<string, string> = {}) {
    this.env = env
  }

  /** Starts a relay and waits for its address line. With `restart`, on the port and key of an earlier one. */
  async relay(args: readonly string[] = [], restart?: number): Promise<StartedProcess> {
    const index = restart ?? this.relays.length
    const port = this.ports[index] ?? (await freePort())
    const started = startTabswarm(
      ['relay', '--port', String(port), '--data-dir', join(this.dataDir, `relay-${index}`), ...args],
      { dataDir: this.dataDir, env: this.env },
    )
    this.relays[index] = started
    this.ports[index] = port
    this.addresses[index] = firstAddress(await started.waitForLine(/DHT visible multiaddrs/, 60_000))
    return started
  }

  /** Starts a donor; does not wait. By default it joins through the first relay. */
  donor(args: readonly string[], options: { initialPeers?: string } = {}): StartedProcess {
    const peers = options.initialPeers ?? this.addresses[0]
    const joined = peers === undefined || peers === '' ? [] : ['--dht_initial_peers', peers]
    const started = startTabswarm(['donate', ...joined, ...args], { dataDir: this.dataDir, env: this.env })
    this.donors.push(started)
    return started
  }

  /** Starts donors one after another, each ready before the next. */
  async readyDonors(count: number, args: readonly string[]): Promise<StartedProcess[]> {
    const started: StartedProcess[] = []
    for (let i = 0; i < count; i += 1) {
      const donor = this.donor(args)
      await donor.waitForLine(READY, 90_000)
      started.push(donor)
    }
    return started
  }

  /** Asks through the given relays (all by default) and parses the answer. */
  async prompt(
    args: readonly string[],
    options: { initialPeers?: string; timeoutMs?: number } = {},
  ): Promise<PromptAnswer> {
    const peers = options.initialPeers ?? this.addresses.join(',')
    const prompt = startTabswarm(['prompt', '--dht_initial_peers', peers, '--json', ...args], {
      dataDir: this.dataDir,
      env: this.env,
    })
    try {
      return await answerOf(prompt, options.timeoutMs)
    } finally {
      await prompt.stop()
    }
  }

  /** A prompt that runs on while the test breaks things. */
  startPrompt(args: readonly string[], env: Record<string, string> = {}): StartedProcess {
    const started = startTabswarm(['prompt', '--dht_initial_peers', this.addresses.join(','), ...args], {
      dataDir: this.dataDir,
      env: { ...this.env, ...env },
    })
    this.donors.push(started)
    return started
  }

  async stop(): Promise<void> {
    await Promise.all([...this.donors, ...this.relays].map((started) => started.stop()))
    removeTempDir(this.dataDir)
  }
}
