/** The command as a whole: options in, lines and files out. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import type { Runtime } from '../../../../cli/commands/command.ts'
import { simulateCommand } from '../../../../cli/commands/simulate.ts'
import { formatHelp } from '../../../../cli/options/help.ts'
import { parseOptions } from '../../../../cli/options/parse.ts'
import { RULE_NAMES } from '../../../../swarm/planner/rule-names.ts'
import { SCENARIOS } from '../../../../swarm/simulator/scenarios.ts'

const folder = mkdtempSync(join(tmpdir(), 'tabswarm-simulate-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))
const path = (name: string): string => join(folder, name)
const read = (name: string): string => readFileSync(path(name), 'utf8')

/** Standard output of the command. */
async function simulate(...args: string[]): Promise<string> {
  const lines: string[] = []
  const parsed = parseOptions(simulateCommand.options, args, {})
  const output = { line: (text: string) => lines.push(text), progress: () => undefined, answer: () => undefined }
  expect(await simulateCommand.run(parsed, {} as Runtime, output)).toBe(0)
  return lines.join('\n')
}

const refusal = (...args: string[]): Promise<string> =>
  simulate(...args).then(
    () => 'was not refused',
    (error: Error & { action?: string }) => `${error.message} ${error.action ?? ''}`,
  )

writeFileSync(
  path('swarm.json'),
  JSON.stringify({
    units: 8,
    bytesPerUnit: 1e6,
    types: { t: { blockStepsPerSecond: 100, maxBlocks: 4 } },
    peers: ['a', 'b', 'c', 'd', 'e'].map((id) => ({ id, type: 't' })),
  }),
)
const events = [
  { t: 10, session: 's', promptTokens: 10, newTokens: 20 },
  { t: 20, crash: 'a' },
  { t: 60, join: 'a' },
  { t: 70, speed: 'b', factor: 0.5 },
  { t: 100, leave: 'c' },
]
writeFileSync(path('day.jsonl'), events.map((event) => JSON.stringify(event)).join('\n'))
const cluster = ['--cluster', path('swarm.json')]
const trace = [...cluster, '--trace', path('day.jsonl')]

describe('planned once', () => {
  test.each(RULE_NAMES)('%s prints the keys that the documentation names', async (rule) => {
    const result = JSON.parse(await simulate(...cluster, '--rule', rule, '--json')) as Record<string, unknown>
    const documented = /prints\n\n```\n\{([^`]*)\}\n```/.exec(
      readFileSync(join(import.meta.dirname, '../../../../docs/simulator.md'), 'utf8'),
    )?.[1]
    const names = [...(documented ?? '').matchAll(/"(\w+)"/g)].map(([, name]) => name as string)
    const inside = new Set(['peer', 'start', 'end'])
    expect(Object.keys(result)).toEqual(names.filter((name) => !inside.has(name)))
    expect(result).toMatchObject({ rule, mode: 'joins', objective: 'expected', bound: 62.5 })
    expect(result['placements']).toHaveLength(5)
  })

  test('--time adds the time, --objective and --mode are said', async () => {
    const json = await simulate(...cluster, '--json', '--time', '--mode', 'global', '--objective', 'capacity')
    expect(JSON.parse(json)).toMatchObject({
      mode: 'global',
      objective: 'capacity',
      planMs: expect.any(Number) as number,
    })
  })

  test('without --json a person reads it', async () => {
    const lines = await simulate(...cluster, '--rule', 'petals')
    expect(lines).toMatch(/^ {2}a {5}\d:\d$/m)
    expect(lines).toMatch(/bound +62\.50 tokens\/s/)
  })

  test('a random swarm is the same when it is saved and read', async () => {
    const drawn = await simulate('--random', '6x8', '--seed', '5', '--json', '--save-cluster', path('drawn.json'))
    expect(await simulate('--cluster', path('drawn.json'), '--json', '--seed', '5')).toBe(drawn)
  })
})

describe('over time', () => {
  test('every rule is run, the same bytes each time', async () => {
    const first = await simulate(...trace, '--json')
    expect(await simulate(...trace, '--json')).toBe(first)
    const { rules } = JSON.parse(first) as { rules: { rule: string; seconds: number; sessions: object }[] }
    expect(rules.map(({ rule }) => rule)).toEqual(RULE_NAMES)
    for (const result of rules) {
      expect(result.seconds).toBe(100)
      expect(result.sessions).toMatchObject({ started: 1, finished: 1, failed: 0 })
    }
  })

  test('--rule runs one, --until-seconds ends it', async () => {
    const json = await simulate(...trace, '--json', '--rule', 'petals', '--until-seconds', '50')
    expect(JSON.parse(json)).toMatchObject({ rules: [{ rule: 'petals', seconds: 50 }] })
  })

  test('a timeline has a line for each change', async () => {
    await simulate(...trace, '--rule', 'petals', '--timeline', path('out.jsonl'))
    const entries = read('out.jsonl')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { t: number; event: string; rule: string; route?: string })
    expect(entries.filter(({ event }) => event === 'serve' && entries.length > 0).length).toBeGreaterThanOrEqual(6)
    expect(entries.map(({ event }) => event)).toEqual(
      expect.arrayContaining(['crash', 'noticed', 'claim', 'speed', 'leave']),
    )
    const routes = entries.flatMap(({ route }) => (route === undefined ? [] : [route]))
    expect(routes.length).toBeGreaterThan(0)
    for (const route of routes) expect(route).toMatch(/^0:\d+ via \S+ \(\d+ ms\)( => \d+:\d+ via \S+ \(\d+ ms\))*$/)
    expect(entries.map(({ t }) => t)).toEqual(entries.map(({ t }) => t).toSorted((a, b) => a - b))
  })

  test('a table has a column for each rule', async () => {
    const lines = (await simulate(...trace)).split('\n')
    expect(lines[0]?.trim().split(/ +/)).toEqual(RULE_NAMES)
    expect(lines.some((line) => /^moves( +\d+)+$/.test(line))).toBe(true)
  })

  test('a scenario is the same when it is saved and read', async () => {
    const saved = ['--save-cluster', path('bad.json'), '--save-trace', path('bad.jsonl')]
    const rest = ['--rule', 'petals', '--until-seconds', '600', '--timeline']
    await simulate('--scenario', 'bad-day', ...saved, ...rest, path('first.jsonl'))
    await simulate('--cluster', path('bad.json'), '--trace', path('bad.jsonl'), ...rest, path('second.jsonl'))
    expect(read('second.jsonl')).toBe(read('first.jsonl'))
  })

  test('the report is one page with nothing from elsewhere', async () => {
    await simulate(...trace, '--report', path('out.html'))
    const page = read('out.html')
    expect(page).not.toMatch(/<script|<link|<img|src=|https?:|url\(|@import/)
    // Capacity, a coverage map for each rule, moves.
    expect(page.match(/<svg viewBox="0 0 860/g)).toHaveLength(2 + RULE_NAMES.length)
    expect(page).toContain('prefers-color-scheme: dark')
    expect(page).not.toMatch(/NaN|Infinity|undefined/)
    expect(page).toContain('<h3>petals</h3>')
  })
})

describe('what is refused', () => {
  test.each([
    [[], 'no swarm was named'],
    [[...cluster, '--random', '4x4'], '--cluster and --random exclude each other'],
    [['--scenario', 'evening', '--trace', 'x'], '--trace goes with --cluster'],
    [[...cluster, '--report', 'x.html'], '--report is for a swarm over time'],
    [[...cluster, '--mean-balance-check-period', '5'], '--mean-balance-check-period is for a swarm over time'],
    [[...trace, '--mode', 'global'], '--mode is for a swarm that is planned once'],
    [['--cluster', path('nowhere.json')], 'cannot be read'],
    [['--cluster', path('day.jsonl')], 'is not JSON'],
    [[...cluster, '--trace', path('swarm.json')], 'line 1'],
    [[...trace, '--report', path('no/such/folder.html')], 'cannot be written'],
    [[...cluster, '--max-hops', '3'], '--max-hops is for a plan for all at once, and here peers choose for themselves'],
    [[...cluster, '--rule', 'petals', '--max-hops', '3'], '--max-hops is for the rule flow, and this run is of petals'],
    [[...cluster, 'flow'], 'takes no plain words'],
  ])('%j', async (args, sentence) => {
    expect(await refusal(...args)).toContain(sentence)
  })

  test.each([
    ['--random', '24'],
    ['--scenario', 'nobody'],
    ['--rule', 'random'],
    ['--balance-quality', '2'],
  ])('%s %s', (flag, value) => {
    expect(() => parseOptions(simulateCommand.options, [flag, value], {})).toThrow(`${flag} is "${value}"`)
  })
})

test('help lists every scenario', () => {
  const help = formatHelp(simulateCommand.text, simulateCommand.options).replaceAll(/\s+/g, ' ')
  for (const [name, { summary }] of Object.entries(SCENARIOS)) expect(help).toContain(`${name}: ${summary}`)
})
