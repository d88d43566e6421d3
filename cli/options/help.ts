/** `--help` and `--print-config`, both written from the table of options. */
import { envNames, kebab, spellings, type AnyOption, type OptionTable, type ValuesOf } from './schema.ts'
import { placeholderOf, type Parsed } from './parse.ts'

export interface CommandText {
  name: string
  /** One sentence. */
  summary: string
  /** `[TEXT]` after the name, where words are taken. */
  words?: string
  examples: readonly string[]
}

const WIDTH = 100
const INDENT = 30

export function formatHelp(command: CommandText, table: OptionTable): string {
  const lines = [
    `tabswarm ${command.name} — ${command.summary}`,
    '',
    `Usage: tabswarm ${command.name} [options]${command.words === undefined ? '' : ` ${command.words}`}`,
  ]
  for (const group of groupsOf(table)) {
    lines.push('', `${group.name}:`)
    for (const [name, option] of group.options) lines.push(...formatOption(name, option))
  }
  lines.push(
    '',
    'Also:',
    ...columns('  -h, --help', 'this text'),
    ...columns('  --print-config', 'shows every option with its value and where it comes from, and ends'),
    '',
    'Every option is also read as --snake_case and as --name=value. A flag goes before its environment variable.',
    '',
    'Examples:',
    ...command.examples.map((example) => `  ${example}`),
  )
  return lines.join('\n')
}

function groupsOf(table: OptionTable): { name: string; options: [string, AnyOption][] }[] {
  const groups = new Map<string, [string, AnyOption][]>()
  for (const [name, option] of Object.entries(table)) {
    const group = option.ignored === undefined ? (option.group ?? 'Options') : 'Accepted, without effect'
    groups.set(group, [...(groups.get(group) ?? []), [name, option]])
  }
  return [...groups].map(([name, options]) => ({ name, options }))
}

function formatOption(name: string, option: AnyOption): string[] {
  // Snake case is not listed: it is said once for all.
  const shown = spellings(name, option).filter((spelling) => !spelling.slice(2).includes('_'))
  const short = shown.filter((spelling) => !spelling.startsWith('--'))
  const long = shown.filter((spelling) => spelling.startsWith('--'))
  const left = `  ${[...short, ...long].join(', ')} ${placeholderOf(option)}`.trimEnd()
  const about = option.ignored ?? option.help
  return columns(left, `${about}${formatDefault(option)} [${envNames(name, option).join(', ')}]`)
}

function formatDefault(option: AnyOption): string {
  const value = option.default
  if (value === undefined || value === false || value === '' || (Array.isArray(value) && value.length === 0)) return ''
  return ` (default ${String(value)})`
}

function columns(left: string, right: string): string[] {
  const lines = wrap(right, WIDTH - INDENT)
  if (left.length >= INDENT - 1) return [left, ...lines.map((line) => ' '.repeat(INDENT) + line)]
  return lines.map((line, i) => (i === 0 ? left : '').padEnd(INDENT) + line)
}

function wrap(words: string, width: number): string[] {
  const lines: string[] = []
  let line = ''
  for (const word of words.split(' ')) {
    if (line !== '' && line.length + 1 + word.length > width) {
      lines.push(line)
      line = word
    } else line = line === '' ? word : `${line} ${word}`
  }
  return [...lines, line]
}

/** One JSON object a person can read and a script can parse: value and source of every option. */
export function formatConfig<Table extends OptionTable>(table: Table, parsed: Parsed<Table>): string {
  const values = parsed.values as ValuesOf<OptionTable>
  const entries = Object.keys(table).map((name) => [
    kebab(name),
    { value: values[name] ?? null, from: parsed.sources.get(name) ?? 'default' },
  ])
  return JSON.stringify(Object.fromEntries(entries), null, 2)
}
