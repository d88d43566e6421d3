/** The donor flags of a command as the page's `/config.json` carries them: only what was given. */
import type { DonorDefaults } from '../../swarm/app-config.ts'
import type { AutotuneMode, BackendChoice } from '../../swarm/backend.ts'
import { checkForModel, makeDonorSettings } from '../../swarm/donor-settings.ts'
import type { RuleName } from '../../swarm/planner/rule-names.ts'
import type { KvFormat, WeightChoice } from '../../swarm/model/config.ts'
import type { ValuesOf } from '../options/schema.ts'
import type { computeOptions, placementOptions } from '../options/shared.ts'

type DonorValues = ValuesOf<typeof placementOptions> & ValuesOf<typeof computeOptions>

/** Settings that the model's config contradicts, before a browser is started for them. @throws SwarmError BAD_OPTION */
export function checkDonorFits(values: DonorValues, model: string, blocks: number): void {
  checkForModel(makeDonorSettings(donorDefaults(values, model)), blocks)
}

/**
 * `model` as resolved.
 * @throws SwarmError BAD_OPTION for what cannot be meant together, before a browser is started for it
 */
export function donorDefaults(values: DonorValues, model: string): DonorDefaults {
  const {
    numBlocks,
    totalBlocks,
    splits,
    stage,
    rule,
    balanceQuality,
    meanBalanceCheckPeriod,
    memoryGb,
    simulateSpeed,
    threads,
    autotune,
  } = values
  const defaults: DonorDefaults = {
    model,
    weights: values.weights as WeightChoice,
    ...(values.kv === undefined ? {} : { kv: values.kv as KvFormat }),
    backend: values.backend as BackendChoice,
    ...(values.useLoadBalancing ? { useLoadBalancing: true } : {}),
    ...(numBlocks === undefined ? {} : { numBlocks }),
    ...(totalBlocks === undefined ? {} : { totalBlocks }),
    ...(splits === undefined ? {} : { splits }),
    ...(stage === undefined ? {} : { stage }),
    ...(rule === undefined ? {} : { rule: rule as RuleName }),
    ...(balanceQuality === undefined ? {} : { balanceQuality }),
    ...(meanBalanceCheckPeriod === undefined ? {} : { meanBalanceCheckPeriod }),
    ...(autotune === undefined ? {} : { autotune: autotune as AutotuneMode }),
    ...(threads === undefined ? {} : { threads }),
    ...(memoryGb === undefined ? {} : { memoryGb }),
    ...(simulateSpeed === undefined ? {} : { simulateSpeed }),
  }
  // The tab checks the same again, and knows the model then.
  makeDonorSettings(defaults)
  return defaults
}
