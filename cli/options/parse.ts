/**
 * Arguments and environment into values, by a table of options. Every refusal is a `SwarmError` BAD_OPTION with what
 * was given and what was expected. Flag before environment before default.
 */
import { SwarmError } from '../../swarm/errors.ts'
import { nearestName } from './nearest.ts'
import { envNames, spellings, type AnyOption, type OptionTable, type ValuesOf } from './schema.ts'

export interface Parsed<Table extends OptionTable> {
  values: ValuesOf<Table>
  /** Words that belong to no flag. */
  words: string[]
  /** Options that a flag or the environment gave, by name. */
  given: ReadonlySet<string>
  /** Where each given value came from, for --print-config: the flag or the variable. */
  sources: ReadonlyMap<string, string>
  help: boolean
  printConfig: boolean
}

type Value = string | number | boolean | readonly string[] | undefined

/** @throws SwarmError BAD_OPTION */
export function parseOptions<Table extends OptionTable>(
  table: Table,
  args: readonly string[],
  env: NodeJS.ProcessEnv = process.env,
): Parsed<Table> {
  const state = new ParseState(table)
  state.readEnvironment(env)
  state.readArguments(args)
  return {
    values: Object.fromEntries(state.values) as ValuesOf<Table>,
    words: state.words,
    given: new Set(state.sources.keys()),
    sources: state.sources,
    help: state.help,
    printConfig: state.printConfig,
  }
}

class ParseState {
  readonly values = new Map<string, Value>()
  readonly sources = new Map<string, string>()
  readonly words: string[] = []
  help = false
  printConfig = false
  readonly #table: OptionTable
  readonly #byFlag = new Map<string, string>()

  constructor(table: OptionTable) {
    this.#table = table
    for (const [name, option] of Object.entries(table)) {
      this.values.set(name, option.default)
      for (const spelling of spellings(name, option)) this.#byFlag.set(spelling, name)
    }
  }

  readEnvironment(env: NodeJS.ProcessEnv): void {
    for (const [name, option] of Object.entries(this.#table)) {
      const variable = envNames(name, option).find((candidate) => (env[candidate] ?? '') !== '')
      if (variable !== undefined) this.#set(name, env[variable] ?? '', variable, false)
    }
  }

  readArguments(args: readonly string[]): void {
    for (let i = 0; i < args.length; i += 1) {
      const arg = args[i] ?? ''
      if (arg === '--') {
        this.words.push(...args.slice(i + 1))
        return
      }
      if (arg === '-' || !arg.startsWith('-')) this.words.push(arg)
      else if (arg === '--help' || arg === '-h') this.help = true
      else if (arg === '--print-config' || arg === '--print_config') this.printConfig = true
      else if (this.#readFlag(arg, args[i + 1])) i += 1
    }
  }

  /** Returns whether the next argument was the value. */
  #readFlag(arg: string, next: string | undefined): boolean {
    const equals = arg.indexOf('=')
    const spelling = equals === -1 ? arg : arg.slice(0, equals)
    const name = this.#byFlag.get(spelling)
    if (name === undefined) return this.#readNegation(spelling)
    const option = this.#table[name] as AnyOption
    if (equals !== -1) {
      this.#set(name, arg.slice(equals + 1), spelling, true)
      return false
    }
    if (option.kind === 'boolean') {
      this.#set(name, 'true', spelling, true)
      return false
    }
    // A value may start with a minus only as a number: `--seed -1`.
    if (next === undefined || (next.startsWith('-') && next !== '-' && !/^-\d/.test(next))) {
      throw refuse(`${spelling} needs a value`, `Write ${spelling} ${placeholderOf(option)}.`)
    }
    this.#set(name, next, spelling, true)
    return true
  }

  #readNegation(spelling: string): boolean {
    const name = spelling.startsWith('--no-') ? this.#byFlag.get(`--${spelling.slice(5)}`) : undefined
    if (name === undefined || this.#table[name]?.kind !== 'boolean')
      throw unknownFlag(spelling, [...this.#byFlag.keys()])
    this.#set(name, 'false', spelling, true)
    return false
  }

  #set(name: string, given: string, source: string, isFlag: boolean): void {
    const option = this.#table[name] as AnyOption
    const value = convert(option, given, source)
    const seenAsFlag = isFlag && this.sources.get(name)?.startsWith('-') === true
    if (option.kind === 'list' && seenAsFlag) {
      this.values.set(name, [...((this.values.get(name) as readonly string[]) ?? []), ...(value as readonly string[])])
    } else this.values.set(name, value)
    this.sources.set(name, source)
  }
}

function convert(option: AnyOption, given: string, source: string): Value {
  const value = convertKind(option, given, source)
  if (option.choices !== undefined && !option.choices.includes(String(value))) {
    throw refuse(`${source} is "${given}", and must be one of ${option.choices.join(', ')}`)
  }
  const reason = (option.check as ((value: Value) => string | null) | undefined)?.(value) ?? null
  if (reason !== null) throw refuse(`${source} is "${given}", and ${reason}`)
  return value
}

function convertKind(option: AnyOption, given: string, source: string): Value {
  switch (option.kind) {
    case 'text':
      return given
    case 'list':
      return given
        .split(',')
        .map((part) => part.trim())
        .filter((part) => part !== '')
    case 'integer':
      if (!/^[+-]?\d+$/.test(given.trim())) throw refuse(`${source} is "${given}", and must be a whole number`)
      return Number(given)
    case 'number':
      if (given.trim() === '' || !Number.isFinite(Number(given)))
        throw refuse(`${source} is "${given}", and must be a number`)
      return Number(given)
    case 'boolean':
      if (/^(true|1|yes|on)$/i.test(given)) return true
      if (/^(false|0|no|off)$/i.test(given)) return false
      throw refuse(`${source} is "${given}", and must be true or false`)
  }
}

export function placeholderOf(option: AnyOption): string {
  if (option.placeholder !== undefined) return option.placeholder
  if (option.choices !== undefined) return option.choices.join('|')
  return { text: 'TEXT', integer: 'N', number: 'NUMBER', boolean: '', list: 'A,B' }[option.kind]
}

function unknownFlag(spelling: string, known: readonly string[]): SwarmError {
  const near = nearestName(spelling, known)
  const action = near === null ? 'See --help for the list.' : `Did you mean ${near}?`
  return refuse(`There is no option ${spelling}`, action)
}

function refuse(message: string, action = 'See --help for what it takes.'): SwarmError {
  return new SwarmError('BAD_OPTION', message, { action })
}
