import { describe, expect, it } from 'vitest'
import type { DonorDefaults } from '../../../swarm/app-config.ts'
import { checkForModel, fixedSpan, makeDonorSettings, readDonorQuery } from '../../../swarm/donor-settings.ts'
import { SwarmError } from '../../../swarm/errors.ts'

function refusal(run: () => unknown): SwarmError {
  try {
    run()
  } catch (error) {
    if (error instanceof SwarmError) return error
    throw error
  }
  throw new Error('was accepted')
}

describe('donor settings', () => {
  it('load balancing is the default, with the defaults of the original', () => {
    expect(makeDonorSettings({})).toMatchObject({
      placement: { mode: 'load-balancing' },
      numBlocks: null,
      rule: 'flow',
      balanceQuality: 0.75,
      meanBalanceCheckPeriodMs: 120_000,
      weights: 'auto',
      kv: null,
      autotune: 'on',
      backend: 'auto',
      threads: null,
      notes: [],
    })
  })

  it('under load balancing splits and stage are ignored, and a line says so', () => {
    for (const given of [{ splits: '8,16,24', stage: 1 }, { splits: 'nonsense' }, { stage: 99 }]) {
      const settings = makeDonorSettings({ ...given, useLoadBalancing: true })
      expect(settings.placement).toEqual({ mode: 'load-balancing' })
      expect(settings.notes).toEqual([
        'splits and stage are ignored: under load balancing each tab picks its own blocks.',
      ])
    }
  })

  it('fixed mode: stage 0 begins the model, the last stage ends it', () => {
    const spans = [0, 1, 2, 3].map((stage) => {
      const { placement } = makeDonorSettings({ splits: ' 8, 16,24', stage })
      return placement.mode === 'fixed' ? fixedSpan(placement, 32) : null
    })
    expect(spans).toEqual([
      { start: 0, end: 8 },
      { start: 8, end: 16 },
      { start: 16, end: 24 },
      { start: 24, end: 32 },
    ])
    expect(makeDonorSettings({ splits: '8', stage: 0, numBlocks: 3 }).notes).toEqual([
      'num_blocks is ignored: in fixed mode splits and stage say which blocks.',
    ])
  })

  const refused: [DonorDefaults, RegExp][] = [
    [{ splits: '8,16' }, /^splits is given without stage/],
    [{ stage: 1 }, /^stage is given without splits/],
    [{ splits: '16,8', stage: 1 }, /not ascending: 8 comes after 16/],
    [{ splits: '8,8', stage: 1 }, /not ascending/],
    [{ splits: '0,8', stage: 1 }, /cut before block 1/],
    [{ splits: '8,x', stage: 1 }, /"x", which is not a block number/],
    [{ splits: '8,,16', stage: 1 }, /"", which is not a block number/],
    [{ splits: '-8', stage: 0 }, /not a block number/],
    [{ splits: '8,16', stage: 3 }, /stage is 3, but splits "8,16" make the stages 0 to 2/],
    [{ splits: '8,16', stage: -1 }, /stage is -1/],
    [{ splits: '8,16', stage: 0.5 }, /stage is 0.5/],
    [{ numBlocks: 0 }, /num_blocks is 0/],
    [{ numBlocks: 1.5 }, /num_blocks is 1.5/],
    [{ totalBlocks: 0 }, /total_blocks is 0/],
    [{ balanceQuality: 1.01 }, /balance_quality is 1.01, but must lie from 0 to 1/],
    [{ balanceQuality: -0.1 }, /balance_quality is -0.1/],
    [{ balanceQuality: Number.NaN }, /balance_quality is NaN/],
    [{ meanBalanceCheckPeriod: 0 }, /mean_balance_check_period is 0 seconds/],
    [{ meanBalanceCheckPeriod: -2 }, /mean_balance_check_period is -2/],
    [{ memoryGb: 0 }, /memory_gb is 0/],
    [{ simulateSpeed: 0 }, /simulate_speed is 0/],
    [{ weights: 'int2' as 'f32' }, /weights is "int2", but must be one of auto, f32, f16, int8, int4/],
  ]
  it.each(refused)('%j is refused', (defaults, sentence) => {
    const error = refusal(() => makeDonorSettings(defaults))
    expect(error.code).toBe('BAD_OPTION')
    expect(error.message).toMatch(sentence)
    expect(error.action).toMatch(/\.$/)
  })

  const refusedForModel: [DonorDefaults, number, RegExp][] = [
    [{ totalBlocks: 32 }, 30, /total_blocks is 32, but the model's config says 30/],
    [{ numBlocks: 33 }, 32, /num_blocks is 33, but the model has only 32 blocks/],
    [{ splits: '8,32', stage: 0 }, 32, /splits has 32, but the model has only 32 blocks/],
  ]
  it.each(refusedForModel)('%j is refused for a model of %i blocks', (defaults, blocks, sentence) => {
    expect(refusal(() => checkForModel(makeDonorSettings(defaults), blocks)).message).toMatch(sentence)
  })

  it('what fits a model is accepted', () => {
    checkForModel(makeDonorSettings({ totalBlocks: 32, numBlocks: 32 }), 32)
    checkForModel(makeDonorSettings({ splits: '8,31', stage: 2 }), 32)
  })
})

describe('donor query', () => {
  it('reads every parameter of a link', () => {
    const query = new URLSearchParams(
      'donate&tab=2&model=org/name&num_blocks=8&total_blocks=32&splits=8,16&stage=1&use_load_balancing' +
        '&balance_quality=0.9&mean_balance_check_period=2.5&dht_initial_peers=/ip4/1.2.3.4/tcp/1/p2p/x,%20/dns4/y&weights=f16&kv=f16&simulate_speed=100&threads=3&rule=petals&autotune=again',
    )
    expect(readDonorQuery(query)).toEqual({
      model: 'org/name',
      numBlocks: 8,
      totalBlocks: 32,
      splits: '8,16',
      stage: 1,
      useLoadBalancing: true,
      balanceQuality: 0.9,
      meanBalanceCheckPeriod: 2.5,
      initialPeers: ['/ip4/1.2.3.4/tcp/1/p2p/x', '/dns4/y'],
      weights: 'f16',
      kv: 'f16',
      autotune: 'again',
      simulateSpeed: 100,
      threads: 3,
      rule: 'petals',
    })
    expect(readDonorQuery(new URLSearchParams('donate'))).toEqual({})
    expect(readDonorQuery(new URLSearchParams('use_load_balancing=false'))).toEqual({ useLoadBalancing: false })
  })

  it.each([
    'num_blocks=eight',
    'stage=0x1',
    'balance_quality=',
    'use_load_balancing=maybe',
    'weights=int2',
    'rule=random',
  ])('%s', (text) => {
    const query = new URLSearchParams(text)
    if (text.endsWith('=')) expect(readDonorQuery(query)).toEqual({})
    else expect(refusal(() => readDonorQuery(query)).code).toBe('BAD_OPTION')
  })
})
