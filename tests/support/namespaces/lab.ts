/**
 * Makes network namespaces and the cables between them, and removes them again, also those of a run that was killed.
 * Both ends of every cable are made inside: nothing of the machine's own network is touched, and nothing leads out.
 */
import { spawnSync } from 'node:child_process'
import { isRunning } from '../processes.ts'
import { runCommand } from './command.ts'
import { Namespace } from './namespace.ts'

export const PREFIX = 'tabswarm-'

export interface CableEnd {
  namespace: Namespace
  /** Name of the interface there. */
  device: string
}

let labs = 0

export class NamespaceLab {
  readonly #namespaces: Namespace[] = []
  readonly #number = (labs += 1)
  readonly #onExit = (): void => this.#remove()

  constructor() {
    removeLeftOvers()
    // A run that is interrupted does not come to `stop`.
    process.once('exit', this.#onExit)
  }

  /** A machine that is connected to nothing yet. */
  add(name: string): Namespace {
    const namespace = new Namespace(`${PREFIX}${process.pid}-${this.#number}-${name}`)
    runCommand('ip', 'netns', 'add', namespace.name)
    this.#namespaces.push(namespace)
    namespace.ip('link', 'set', 'lo', 'up')
    return namespace
  }

  /** Connects two of them; both ends are up. */
  cable(a: CableEnd, b: CableEnd): void {
    const other = ['peer', 'name', b.device, 'netns', b.namespace.name]
    a.namespace.ip('link', 'add', a.device, 'type', 'veth', ...other)
    for (const { namespace, device } of [a, b]) namespace.ip('link', 'set', device, 'up')
  }

  /** Ends every process in them, and them. */
  async stop(): Promise<void> {
    try {
      await Promise.all(this.#namespaces.map((namespace) => namespace.stopProcesses()))
    } finally {
      this.#remove()
    }
  }

  #remove(): void {
    process.off('exit', this.#onExit)
    for (const { name } of this.#namespaces.splice(0)) removeNamespace(name)
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
