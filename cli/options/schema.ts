/**
 * Options as data: one entry an option gives its spellings, environment variable, type, default, help and check.
 * Parsing, `--help` and `--print-config` all read this table, so they cannot disagree.
 */

export interface Option<T> {
  kind: 'text' | 'integer' | 'number' | 'boolean' | 'list'
  help: string
  /** Used when neither flag nor environment gives one. */
  default: T
  /** Shown in help in place of the value's kind. */
  placeholder?: string
  /** Further spellings beside the name's own, in kebab case. */
  aliases?: readonly string[]
  /** One letter. */
  short?: string
  /** Environment variables, first one set wins; by default TABSWARM_<NAME>. */
  env?: readonly string[]
  choices?: readonly string[]
  /** Reason why a value is refused, or null. */
  check?: (value: NonNullable<T>) => string | null
  /** Accepted for the sake of other command lines, and means nothing here: the sentence that says why. */
  ignored?: string
  /** Heading in help. */
  group?: string
}

// Every kind of option in one table: the value type is known to the entry, not to the table.
export type OptionTable = Readonly<Record<string, AnyOption>>
export type AnyOption =
  | Option<string | undefined>
  | Option<number | undefined>
  | Option<boolean | undefined>
  | Option<readonly string[]>
  | Option<string>
  | Option<number>
  | Option<boolean>

export type ValuesOf<Table extends OptionTable> = {
  [Name in keyof Table]: Table[Name] extends Option<infer T> ? T : never
}

type Extra<T> = Partial<Omit<Option<T>, 'kind' | 'help' | 'default'>>
/** With a default the value is always there; without one it may be absent. */
type Maybe<T, Default> = Option<Default extends undefined ? T | undefined : T>

export function text<Default extends string | undefined = undefined>(
  help: string,
  extra: Extra<string> & { default?: Default } = {},
): Maybe<string, Default> {
  return { default: undefined, ...extra, kind: 'text', help } as Maybe<string, Default>
}

export function integer<Default extends number | undefined = undefined>(
  help: string,
  extra: Extra<number> & { default?: Default } = {},
): Maybe<number, Default> {
  return { default: undefined, ...extra, kind: 'integer', help } as Maybe<number, Default>
}

export function number<Default extends number | undefined = undefined>(
  help: string,
  extra: Extra<number> & { default?: Default } = {},
): Maybe<number, Default> {
  return { default: undefined, ...extra, kind: 'number', help } as Maybe<number, Default>
}

export function flag(help: string, extra: Extra<boolean> = {}): Option<boolean> {
  return { ...extra, kind: 'boolean', help, default: false }
}

/** Given several times or separated by commas. */
export function list(help: string, extra: Extra<readonly string[]> = {}): Option<readonly string[]> {
  return { ...extra, kind: 'list', help, default: [] }
}

export function kebab(name: string): string {
  return name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)
}

export function snake(name: string): string {
  return name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)
}

export function envNames(name: string, option: AnyOption): readonly string[] {
  return option.env ?? [`TABSWARM_${snake(name).toUpperCase()}`]
}

/** All spellings of an option: `--num-blocks`, `--num_blocks`, aliases in both, `-x`. */
export function spellings(name: string, option: AnyOption): string[] {
  const long = [kebab(name), ...(option.aliases ?? [])]
  const both = long.flatMap((word) => [word, word.replaceAll('-', '_')])
  return [...new Set(both.map((word) => `--${word}`)), ...(option.short === undefined ? [] : [`-${option.short}`])]
}

export function atLeast(least: number): (value: number) => string | null {
  return (value) => (value >= least ? null : `must be ${least} or more`)
}

export function between(least: number, most: number): (value: number) => string | null {
  return (value) => (value >= least && value <= most ? null : `must be between ${least} and ${most}`)
}

export function above(bound: number): (value: number) => string | null {
  return (value) => (value > bound ? null : `must be more than ${bound}`)
}
