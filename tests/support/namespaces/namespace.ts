/** One network namespace: a machine with interfaces of its own and every file of this one. Made by a `NamespaceLab`. */
import { join } from 'node:path'
import { cleanEnv, ENTRY, REPO_ROOT, startProcess, type StartedProcess } from '../processes.ts'
import { runCommand } from './command.ts'

const PIPE = join(REPO_ROOT, 'tests/support/tcp-pipe.mjs')

export class Namespace {
  /** As `ip netns` lists it. */
  readonly name: string
  readonly #processes: StartedProcess[] = []

  constructor(name: string) {
    this.name = name
  }

  /** `ip ARGS…` on its interfaces. */
  ip(...args: readonly string[]): string {
    return runCommand('ip', '-n', this.name, ...args)
  }

  /** Runs a command to its end. */
  run(command: string, ...args: readonly string[]): string {
    return runCommand('ip', 'netns', 'exec', this.name, command, ...args)
  }

  /** Starts a command; it ends with the lab at the latest. */
  start(command: readonly string[], env: NodeJS.ProcessEnv = cleanEnv()): StartedProcess {
    // `ip` becomes the command: the pid is that of the command itself.
    const started = startProcess('ip', ['netns', 'exec', this.name, ...command], { env, cwd: REPO_ROOT })
    this.#processes.push(started)
    return started
  }

  /** Starts `tabswarm ARGS…`. */
  tabswarm(args: readonly string[], options: { dataDir: string; env?: Record<string, string> }): StartedProcess {
    const env = cleanEnv({ TABSWARM_DATA_DIR: options.dataDir, ...options.env })
    return this.start([process.execPath, ENTRY, ...args], env)
  }

  /** Forwards connections: pairs as `tcp-pipe.mjs` takes them. */
  async pipe(pairs: readonly string[]): Promise<StartedProcess> {
    const started = this.start([process.execPath, PIPE, ...pairs])
    await started.waitForLine(/^ready$/)
    return started
  }

  /** Ends every process that was started in it. */
  async stopProcesses(): Promise<void> {
    await Promise.all(this.#processes.splice(0).map((started) => started.stop()))
  }
}
