/** From what is set on the page to what a generation is asked for: unset values are the model's own, then the product's. */
import type { SamplingOptions } from '../../../session/types.ts'
import type { ChatSettings } from './chat-types.ts'

/** Where neither the page nor generation_config.json says anything: Hugging Face's defaults, with no cut. */
const FALLBACK: Omit<SamplingOptions, 'seed'> = { temperature: 1, topP: 1, topK: 0, repetitionPenalty: 1 }

export function resolveSampling(
  settings: ChatSettings,
  defaults: Partial<SamplingOptions>,
  randomSeed: () => number,
): SamplingOptions {
  return {
    temperature: settings.temperature ?? defaults.temperature ?? FALLBACK.temperature,
    topP: settings.topP ?? defaults.topP ?? FALLBACK.topP,
    topK: settings.topK ?? defaults.topK ?? FALLBACK.topK,
    repetitionPenalty: settings.repetitionPenalty ?? defaults.repetitionPenalty ?? FALLBACK.repetitionPenalty,
    seed: settings.seed ?? randomSeed(),
  }
}
