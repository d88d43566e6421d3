/**
 * Child processes for tests: `tabswarm …` as a person would start it, its lines captured, awaited by pattern, killed by
 * pid. Every process gets its own data folder and no Hugging Face settings of the machine it runs on.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const REPO_ROOT = fileURLToPath(new URL('../..', import.meta.url))
export const ENTRY = join(REPO_ROOT, 'cli/tabswarm.mjs')

export interface StartedProcess {
  readonly pid: number
  /** Complete lines so far; `both` keeps the order in which they came. */
  readonly stdout: string[]
  readonly stderr: string[]
  readonly both: string[]
  /** When each line of `both` came, ms of `performance.now`. */
  readonly times: readonly number[]
  /** Standard output as it came, for tests of exact bytes. */
  stdoutText(): string
  /** Resolves with the first line, past or future, that matches. @throws Error when it ends or the time is over */
  waitForLine(pattern: RegExp, timeoutMs?: number): Promise<string>
  /** Resolves when the process is gone. @throws Error when the time is over */
  exited(timeoutMs?: number): Promise<{ code: number | null; signal: NodeJS.Signals | null }>
  signal(name: NodeJS.Signals): void
  /** SIGINT, then SIGKILL after 10 s. */
  stop(): Promise<void>
}

export interface StartOptions {
  env?: Record<string, string>
  cwd?: string
  /** Kept by the caller to reuse a profile; by default a new folder, removed when the process is stopped. */
  dataDir?: string
}

/** Environment without tokens, hub addresses or settings of this machine. */
export function cleanEnv(extra: Record<string, string> = {}): NodeJS.ProcessEnv {
  const env: NodeJS.ProcessEnv = {}
  for (const [name, value] of Object.entries(process.env)) {
    const kept = name === 'TABSWARM_CHROMIUM' || name === 'TABSWARM_SETUP'
    if (!kept && /^(HF_|HUGGING|TABSWARM_|npm_|VITEST|NODE_ENV$|FORCE_COLOR)/i.test(name)) continue
    env[name] = value
  }
  // Tests of the swarm run WGSL on the software adapter: by itself a tab would take WebAssembly there.
  return { ...env, NO_COLOR: '1', TABSWARM_BACKEND: 'webgpu', HF_HOME: join(tmpdir(), 'tabswarm-no-hf-home'), ...extra }
}

export function makeTempDir(name = 'test'): string {
  return mkdtempSync(join(tmpdir(), `tabswarm-${name}-`))
}

export function removeTempDir(path: string): void {
  // A browser that is just being killed may still write: a few tries, then the test run says so.
  rmSync(path, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 })
}

/** Starts `tabswarm ARGS…`. */
export function startTabswarm(args: readonly string[], options: StartOptions = {}): StartedProcess {
  const ownDataDir = options.dataDir === undefined
  const dataDir = options.dataDir ?? makeTempDir('data')
  const env = cleanEnv({ TABSWARM_DATA_DIR: dataDir, ...options.env })
  const started = startProcess(process.execPath, [ENTRY, ...args], { env, cwd: options.cwd ?? REPO_ROOT })
  if (!ownDataDir) return started
  return {
    ...started,
    async stop() {
      await started.stop()
      removeTempDir(dataDir)
    },
  }
}

/** Runs `tabswarm ARGS…` to its end. */
export async function runTabswarm(
  args: readonly string[],
  options: StartOptions & { timeoutMs?: number } = {},
): Promise<{ code: number | null; stdout: string; stderr: string }> {
  const started = startTabswarm(args, options)
  try {
    const { code } = await started.exited(options.timeoutMs ?? 120_000)
    return { code, stdout: started.stdoutText(), stderr: started.stderr.join('\n') }
  } finally {
    await started.stop()
  }
}

export function startProcess(
  command: string,
  args: readonly string[],
  options: {
    env: NodeJS.ProcessEnv
    cwd: string
    /** As in a terminal: signals go to all that it started, not to it alone. */
    asGroup?: boolean
  },
): StartedProcess {
  const { asGroup = false, ...where } = options
  const child = spawn(command, args, { ...where, detached: asGroup, stdio: ['ignore', 'pipe', 'pipe'] })
  const { pid } = child
  if (pid === undefined) throw new Error(`could not start ${command}`)
  const send = (name: NodeJS.Signals): void => {
    if (asGroup) signalGroup(pid, name)
    else child.kill(name)
  }
  const both: string[] = []
  const times: number[] = []
  const add = (line: string): void => {
    both.push(line)
    times.push(performance.now())
  }
  const listeners = new Set<() => void>()
  const notify = (): void => listeners.forEach((listener) => listener())
  let text = ''
  child.stdout.on('data', (chunk: Buffer) => (text += chunk.toString()))
  const stdout = collectLines(child.stdout, add, notify)
  const stderr = collectLines(child.stderr, add, notify)
  // Not `exitCode`: the last lines, which say why it ended, may come after it.
  let closed: string | null = null
  const end = new Promise<{ code: number | null; signal: NodeJS.Signals | null }>((resolve) => {
    child.on('close', (code, signal) => {
      closed = `code ${code}, signal ${signal}`
      resolve({ code, signal })
      notify()
    })
  })
  const tail = (): string => both.slice(-30).join('\n')
  return {
    pid,
    stdout,
    stderr,
    both,
    times,
    stdoutText: () => text,
    waitForLine: (pattern, timeoutMs = 60_000) =>
      waitForLine({ pattern, timeoutMs, both, listeners, gone: () => closed, tail }),
    exited: (timeoutMs = 60_000) => withTimeout(end, timeoutMs, () => `process ${pid} still runs:\n${tail()}`),
    signal: send,
    stop: () => stopChild(child, end, send),
  }
}

function collectLines(stream: NodeJS.ReadableStream, onLine: (line: string) => void, notify: () => void): string[] {
  const lines: string[] = []
  let rest = ''
  const add = (line: string): void => {
    lines.push(line)
    onLine(line)
  }
  stream.setEncoding('utf8')
  stream.on('data', (chunk: string) => {
    const parts = (rest + chunk).split('\n')
    rest = parts.pop() ?? ''
    parts.forEach(add)
    notify()
  })
  stream.on('end', () => {
    if (rest !== '') add(rest)
    rest = ''
    notify()
  })
  return lines
}

async function waitForLine(watch: {
  pattern: RegExp
  timeoutMs: number
  both: readonly string[]
  listeners: Set<() => void>
  /** How it ended; null while it runs. */
  gone: () => string | null
  tail: () => string
}): Promise<string> {
  return new Promise((resolve, reject) => {
    const finish = (act: () => void): void => {
      clearTimeout(timer)
      watch.listeners.delete(check)
      act()
    }
    const check = (): void => {
      const line = watch.both.find((candidate) => watch.pattern.test(candidate))
      if (line !== undefined) finish(() => resolve(line))
      else if (watch.gone() !== null)
        finish(() => reject(new Error(`ended (${watch.gone()}) before ${watch.pattern}:\n${watch.tail()}`)))
    }
    const timer = setTimeout(
      () => finish(() => reject(new Error(`no line ${watch.pattern} in ${watch.timeoutMs} ms:\n${watch.tail()}`))),
      watch.timeoutMs,
    )
    watch.listeners.add(check)
    check()
  })
}

/** A group that has just ended has nobody to tell. */
function signalGroup(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(-pid, name)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}

async function stopChild(
  child: ChildProcess,
  end: Promise<unknown>,
  send: (name: NodeJS.Signals) => void,
): Promise<void> {
  if (child.exitCode === null && child.signalCode === null) {
    send('SIGINT')
    const timer = setTimeout(() => send('SIGKILL'), 10_000)
    await end
    clearTimeout(timer)
  }
}

async function withTimeout<T>(promise: Promise<T>, timeoutMs: number, message: () => string): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  try {
    return await Promise.race([
      promise,
      new Promise<never>((_, reject) => {
        timer = setTimeout(() => reject(new Error(message())), timeoutMs)
      }),
    ])
  } finally {
    clearTimeout(timer)
  }
}

/** Peer id of a donor, from its printed line. */
export function peerIdOf(donor: StartedProcess | undefined): string {
  const line = donor?.both.find((text) => /PeerID: /.test(text))
  const peerId = line?.split('PeerID: ')[1]
  if (peerId === undefined) throw new Error(`no PeerID line:\n${donor?.both.slice(-20).join('\n')}`)
  return peerId
}

/** Whether a process with this pid exists (a zombie does not count). */
export function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    // ESRCH: no such process.
    return false
  }
}

/** Pids of the direct children of a process (Linux: /proc), of whichever of its threads: a browser's network service is one. */
export function childPids(pid: number): number[] {
  return readdirSync(`/proc/${pid}/task`).flatMap((task) => {
    try {
      return readFileSync(`/proc/${pid}/task/${task}/children`, 'utf8').trim().split(' ').filter(Boolean).map(Number)
    } catch {
      // A thread that ended while we looked.
      return []
    }
  })
}

/** A process and all below it, parents first. */
export function processTree(pid: number): number[] {
  return [pid, ...childPids(pid).flatMap(processTree)]
}

/** Processes whose command line names the data folder: the browser of a start, whoever its parent is now. */
export function processesOf(folder: string): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(folder)
      } catch {
        // Ended while we looked.
        return false
      }
    })
    .map(Number)
}
