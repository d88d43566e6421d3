/** Sampling numbers: what the person asked for, else what the model's makers recommend, else greedy without any filter. */
import { SwarmError } from '../../swarm/errors.ts'
import type { PromptModel, SamplingOptions } from '../types.ts'

const NEUTRAL: SamplingOptions = { temperature: 0, topP: 1, topK: 0, repetitionPenalty: 1, seed: 0 }

/**
 * `seed` is drawn by the caller when the person gave none (and shown, so that an answer can be repeated).
 * @throws SwarmError BAD_OPTION naming the number that is out of range
 */
export function samplingFor(
  model: Pick<PromptModel, 'defaults'>,
  asked: Partial<SamplingOptions>,
  seed: number,
): SamplingOptions {
  const given = Object.fromEntries(Object.entries(asked).filter(([, value]) => value !== undefined))
  const options: SamplingOptions = { ...NEUTRAL, ...model.defaults, seed, ...given }
  checkSampling(options)
  return options
}

/** @throws SwarmError BAD_OPTION */
export function checkSampling(options: SamplingOptions): void {
  const { temperature, topP, topK, repetitionPenalty, seed } = options
  check(temperature >= 0 && temperature <= 100, 'temperature', temperature, 'from 0 (greedy) to 100')
  check(topP > 0 && topP <= 1, 'top-p', topP, 'above 0 and at most 1')
  check(Number.isInteger(topK) && topK >= 0, 'top-k', topK, 'a whole number, 0 for off')
  check(
    repetitionPenalty > 0 && repetitionPenalty <= 100,
    'repetition penalty',
    repetitionPenalty,
    'above 0, 1 for off',
  )
  check(Number.isSafeInteger(seed) && seed >= 0, 'seed', seed, 'a whole number from 0')
}

function check(holds: boolean, name: string, value: number, expected: string): void {
  if (holds) return
  throw new SwarmError('BAD_OPTION', `${name} is ${value}; it must be ${expected}`, { action: `Change the ${name}.` })
}
