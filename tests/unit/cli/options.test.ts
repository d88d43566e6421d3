import { describe, expect, it } from 'vitest'
import { relayOptions } from '../../../relay/options.ts'
import { formatConfig, formatHelp } from '../../../cli/options/help.ts'
import { parseOptions } from '../../../cli/options/parse.ts'
import {
  envNames,
  flag,
  integer,
  list,
  number,
  spellings,
  text,
  type OptionTable,
} from '../../../cli/options/schema.ts'
import {
  addressOptions,
  browserOptions,
  modelOptions,
  placementOptions,
  portOption,
} from '../../../cli/options/shared.ts'

const table = {
  numBlocks: integer('blocks', { check: (value) => (value >= 1 ? null : 'must be 1 or more') }),
  balanceQuality: number('quality', { default: 0.75 }),
  headed: flag('window'),
  prompt: text('prompt', { short: 'p' }),
  peers: list('peers', { aliases: ['initial-peers'] }),
  backend: text('backend', { choices: ['auto', 'software'], default: 'auto' }),
  hubUrl: text('hub', { env: ['TABSWARM_HUB_URL', 'HF_ENDPOINT'] }),
}
const parse = (args: string[], env: NodeJS.ProcessEnv = {}) => parseOptions(table, args, env)
const refusal = (args: string[], env: NodeJS.ProcessEnv = {}): string => {
  try {
    parse(args, env)
  } catch (error) {
    return `${(error as Error).message} ${(error as { action?: string }).action}`
  }
  throw new Error('was not refused')
}

describe('parseOptions', () => {
  it.each([
    [['--num-blocks', '8'], 8],
    [['--num_blocks', '8'], 8],
    [['--num-blocks=8'], 8],
    [['--num_blocks=8'], 8],
  ])('reads %j in both spellings and both forms', (args, blocks) => {
    expect(parse(args).values.numBlocks).toBe(blocks)
  })

  it('reads aliases, short names, flags without value and their negation', () => {
    const { values } = parse(['--initial_peers', 'a,b', '--initial-peers=c', '-p', 'hi there', '--headed'])
    expect(values).toMatchObject({ peers: ['a', 'b', 'c'], prompt: 'hi there', headed: true })
    expect(parse(['--headed', '--no-headed']).values.headed).toBe(false)
  })

  it('prefers the flag to the environment, and the environment to the default', () => {
    const env = { TABSWARM_BALANCE_QUALITY: '0.5', HF_ENDPOINT: 'http://hub', TABSWARM_PEERS: 'x' }
    expect(parse([], env).values).toMatchObject({ balanceQuality: 0.5, hubUrl: 'http://hub', peers: ['x'] })
    expect(parse(['--balance_quality', '0.9', '--peers', 'y'], env).values).toMatchObject({
      balanceQuality: 0.9,
      peers: ['y'],
    })
    expect(parse([], {}).values).toMatchObject({ balanceQuality: 0.75, hubUrl: undefined })
  })

  it('takes the first environment variable that is set, and ignores empty ones', () => {
    expect(parse([], { TABSWARM_HUB_URL: '', HF_ENDPOINT: 'b' }).values.hubUrl).toBe('b')
    expect(parse([], { TABSWARM_HUB_URL: 'a', HF_ENDPOINT: 'b' }).values.hubUrl).toBe('a')
  })

  it('keeps words, and takes everything after -- as words', () => {
    expect(parse(['one', '--headed', 'two', '--', '--headed', '-x']).words).toEqual(['one', 'two', '--headed', '-x'])
  })

  it('knows what was given', () => {
    expect([...parse(['--headed'], { HF_ENDPOINT: 'x' }).given].toSorted()).toEqual(['headed', 'hubUrl'])
  })

  it('takes a negative number as a value, but no flag', () => {
    expect(() => parse(['--balance_quality', '-1'])).not.toThrow()
    expect(refusal(['--prompt', '--headed'])).toBe('--prompt needs a value Write --prompt TEXT.')
  })

  it.each([
    [['--num_block', '8'], 'There is no option --num_block Did you mean --num_blocks?'],
    [['--utterly-other-thing'], 'There is no option --utterly-other-thing See --help for the list.'],
    [['--num-blocks', '0'], '--num-blocks is "0", and must be 1 or more'],
    [['--num-blocks', '1.5'], '--num-blocks is "1.5", and must be a whole number'],
    [['--balance-quality', 'high'], '--balance-quality is "high", and must be a number'],
    [['--backend', 'gpu'], '--backend is "gpu", and must be one of auto, software'],
    [['--headed=perhaps'], '--headed is "perhaps", and must be true or false'],
    [['--no-prompt'], 'There is no option --no-prompt'],
    [['--num-blocks'], '--num-blocks needs a value Write --num-blocks N.'],
  ])('refuses %j with the reason', (args, message) => {
    expect(refusal(args)).toContain(message)
  })

  it('names the variable when the environment is wrong', () => {
    expect(refusal([], { TABSWARM_NUM_BLOCKS: 'many' })).toContain(
      'TABSWARM_NUM_BLOCKS is "many", and must be a whole number',
    )
  })
})

describe('every flag of the original', () => {
  const donate: OptionTable = {
    ...relayOptions,
    ...modelOptions,
    ...placementOptions,
    ...addressOptions,
    port: portOption(''),
  }

  it('is known in both spellings', () => {
    const known = new Set(Object.entries(donate).flatMap(([name, option]) => spellings(name, option)))
    const flags = [
      'model',
      'splits',
      'stage',
      'use_load_balancing',
      'num_blocks',
      'total_blocks',
      'dht_initial_peers',
      'dht_port',
      'rpc_port',
      'public_ip',
      'public_dht_port',
      'public_rpc_port',
      'balance_quality',
      'mean_balance_check_period',
    ]
    for (const name of flags) {
      expect(known, name).toContain(`--${name}`)
      expect(known, name).toContain(`--${name.replaceAll('_', '-')}`)
    }
  })

  it.each([
    [['--balance_quality', '1.1'], 'between 0 and 1'],
    [['--mean_balance_check_period', '0'], 'more than 0'],
    [['--num_blocks', '0'], '1 or more'],
    [['--dht_port', '70000'], 'between 0 and 65535'],
    [['--stage', '-1'], '0 or more'],
  ])('refuses %j', (args, reason) => {
    expect(() => parseOptions(donate, args, {})).toThrow(reason)
  })
})

describe('help and --print-config', () => {
  it('names every option, its variable and its default', () => {
    const help = formatHelp({ name: 'start', summary: 'starts', examples: ['npm start'] }, table)
    expect(help).toContain('tabswarm start — starts')
    for (const name of ['--num-blocks N', '--headed', '-p, --prompt TEXT', '--peers, --initial-peers A,B']) {
      expect(help).toContain(name)
    }
    expect(help).toContain('(default 0.75)')
    expect(help).toContain('TABSWARM_HUB_URL, HF_ENDPOINT')
    expect(Math.max(...help.split('\n').map((line) => line.length))).toBeLessThanOrEqual(110)
  })

  it('shows each value with where it comes from', () => {
    const parsed = parse(['--num_blocks', '3'], { HF_ENDPOINT: 'http://hub' })
    const config = JSON.parse(formatConfig(table, parsed)) as Record<string, unknown>
    expect(config['num-blocks']).toEqual({ value: 3, from: '--num_blocks' })
    expect(config['hub-url']).toEqual({ value: 'http://hub', from: 'HF_ENDPOINT' })
    expect(config['balance-quality']).toEqual({ value: 0.75, from: 'default' })
    expect(config['prompt']).toEqual({ value: null, from: 'default' })
  })

  it('gives every shared option a variable of its own', () => {
    const all: OptionTable = { ...modelOptions, ...placementOptions, ...browserOptions, ...relayOptions }
    const names = Object.entries(all).flatMap(([name, option]) => envNames(name, option))
    expect(new Set(names).size).toBe(names.length)
  })
})
