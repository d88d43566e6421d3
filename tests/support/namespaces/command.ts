/** `ip` and other commands that are over in a moment, run to their end. */
import { spawnSync } from 'node:child_process'

/** What it printed. @throws Error with what it complained about */
export function runCommand(command: string, ...args: readonly string[]): string {
  const { status, stdout, stderr, error } = spawnSync(command, args, { encoding: 'utf8' })
  if (status !== 0) throw new Error(`${command} ${args.join(' ')}: ${error?.message ?? stderr.trim()}`)
  return stdout
}
