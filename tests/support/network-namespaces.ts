/**
 * Two machines on one network: network namespaces with a cable between them, made and removed by the test. Works as root on
 * Linux with `ip`; `whyNoNamespaces` says what is missing elsewhere. Nothing of the machine's own network is touched.
 */
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import {
  cleanEnv,
  ENTRY,
  isRunning,
  makeTempDir,
  REPO_ROOT,
  removeTempDir,
  startProcess,
  type StartedProcess,
} from './processes.ts'
import { startTcpForward, type TcpForward } from './tcp-forward.ts'

const PREFIX = 'tabswarm-'
const PIPE = join(REPO_ROOT, 'tests/support/tcp-pipe.mjs')

/** The reason, or null where namespaces can be made. */
export function whyNoNamespaces(): string | null {
  if (process.platform !== 'linux') return 'network namespaces exist on Linux only'
  if (process.getuid?.() !== 0) return 'making network namespaces needs root'
  const name = `${PREFIX}try-${process.pid}`
  const made = spawnSync('ip', ['netns', 'add', name], { encoding: 'utf8' })
  if (made.error !== undefined) return 'there is no ip command (iproute2) to make network namespaces with'
  if (made.status !== 0) return `network namespaces cannot be made here, ${made.stderr.trim()}`
  spawnSync('ip', ['netns', 'del', name])
  return null
}

export interface Machine {
  readonly address: string
  /** Starts `tabswarm ARGS…` on it. */
  tabswarm(args: readonly string[], options: { dataDir: string; env?: Record<string, string> }): StartedProcess
  /** Forwards connections on it: pairs as `tcp-pipe.mjs` takes them. */
  pipe(pairs: readonly string[]): Promise<StartedProcess>
}

export class TwoMachines {
  readonly #folder = makeTempDir('machines')
  readonly #namespaces: string[] = []
  readonly #processes: StartedProcess[] = []
  readonly #forwards: TcpForward[] = []
  readonly #onExit = (): void => this.#removeNamespaces()
  readonly machines: readonly [Machine, Machine]

  /** With these addresses, on one /24. */
  constructor(addresses: readonly [string, string]) {
    removeLeftOvers()
    const [a, b] = [0, 1].map((index) => `${PREFIX}${process.pid}-${index}`) as [string, string]
    // A run that is interrupted does not come to `stop`.
    process.once('exit', this.#onExit)
    try {
      for (const name of [a, b]) {
        ip('netns', 'add', name)
        this.#namespaces.push(name)
        ip('-n', name, 'link', 'set', 'lo', 'up')
      }
      ip('-n', a, 'link', 'add', 'cable', 'type', 'veth', 'peer', 'name', 'cable', 'netns', b)
      for (const [index, name] of [a, b].entries()) {
        ip('-n', name, 'addr', 'add', `${addresses[index]}/24`, 'dev', 'cable')
        ip('-n', name, 'link', 'set', 'cable', 'up')
        // Everything else is that way too: multicast needs a route.
        ip('-n', name, 'route', 'add', 'default', 'dev', 'cable')
      }
    } catch (error) {
      this.#removeNamespaces()
      throw error
    }
    this.machines = [this.#machine(a, addresses[0]), this.#machine(b, addresses[1])]
  }

  /** Makes a server of the test, on loopback here, reachable under the same address on both machines. */
  async share(url: string): Promise<void> {
    const port = Number(new URL(url).port)
    const path = join(this.#folder, `${port}.sock`)
    this.#forwards.push(await startTcpForward({ path, toPort: port }))
    for (const machine of this.machines) await machine.pipe([`127.0.0.1:${port}=${path}`])
  }

  /** Ends every process on the machines, and the machines. */
  async stop(): Promise<void> {
    try {
      await Promise.all(this.#processes.splice(0).map((started) => started.stop()))
      await Promise.all(this.#forwards.splice(0).map((forward) => forward.stop()))
    } finally {
      this.#removeNamespaces()
      removeTempDir(this.#folder)
    }
  }

  #machine(namespace: string, address: string): Machine {
    const run = (command: readonly string[], env: NodeJS.ProcessEnv): StartedProcess => {
      // `ip` becomes the command: the pid is that of the command itself.
      const started = startProcess('ip', ['netns', 'exec', namespace, ...command], { env, cwd: REPO_ROOT })
      this.#processes.push(started)
      return started
    }
    return {
      address,
      tabswarm: (args, { dataDir, env }) =>
        run([process.execPath, ENTRY, ...args], cleanEnv({ TABSWARM_DATA_DIR: dataDir, ...env })),
      pipe: async (pairs) => {
        const started = run([process.execPath, PIPE, ...pairs], cleanEnv())
        await started.waitForLine(/^ready$/)
        return started
      },
    }
  }

  #removeNamespaces(): void {
    process.off('exit', this.#onExit)
    this.#namespaces.splice(0).forEach(removeNamespace)
  }
}

/** With every process in it: a browser whose command was killed may still be there. */
function removeNamespace(name: string): void {
  const { stdout } = spawnSync('ip', ['netns', 'pids', name], { encoding: 'utf8' })
  for (const pid of stdout.split('\n').filter(Boolean).map(Number)) {
    try {
      process.kill(pid, 'SIGKILL')
    } catch {
      // It ended by itself.
    }
  }
  spawnSync('ip', ['netns', 'del', name])
}

/** Of test runs that were killed: their names have the process that made them. */
function removeLeftOvers(): void {
  const { stdout } = spawnSync('ip', ['netns', 'list'], { encoding: 'utf8' })
  for (const line of stdout.split('\n')) {
    const [name = ''] = line.split(' ')
    const pid = name.startsWith(PREFIX) ? Number(name.slice(PREFIX.length).split('-')[0]) : 0
    if (pid > 0 && !isRunning(pid)) removeNamespace(name)
  }
}

function ip(...args: string[]): void {
  const { status, stderr } = spawnSync('ip', args, { encoding: 'utf8' })
  if (status !== 0) throw new Error(`ip ${args.join(' ')}: ${stderr}`)
}
