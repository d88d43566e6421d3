/** What a subcommand is to `main.ts`: its text, its options and what it does with them. */
import type { CommandText } from '../options/help.ts'
import type { Parsed } from '../options/parse.ts'
import type { OptionTable } from '../options/schema.ts'
import type { Lifecycle } from '../lifecycle.ts'
import type { Output } from '../output/console.ts'

export interface Runtime {
  /** The project's folder: models, dist. */
  root: string
  webRoot: string
  workerFile: string
  lifecycle: Lifecycle
  /** Version of package.json. */
  version: string
}

export interface Command<Table extends OptionTable = OptionTable> {
  text: CommandText
  options: Table
  /** Where `line` goes: a command whose standard output is an answer keeps it free. */
  linesTo(parsed: Parsed<Table>): 'stdout' | 'stderr'
  /** @returns the exit code; throws SwarmError for a failure with a sentence */
  run(parsed: Parsed<Table>, runtime: Runtime, output: Output): Promise<number>
}

/** Keeps each command's own types inside and lets `main.ts` treat all alike. */
export type AnyCommand = Command<OptionTable>

export function command<Table extends OptionTable>(definition: Command<Table>): AnyCommand {
  return definition as unknown as AnyCommand
}
