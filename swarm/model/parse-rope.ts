/**
 * Rotary embedding parameters from a Llama config: `rope_theta` + `rope_scaling` (older) or `rope_parameters` (newer, the
 * base in it). Plain RoPE and Llama-3 scaling are computed; linear, dynamic, yarn, longrope and others are refused, since
 * ignoring a scaling would give wrong text without any sign of it.
 */
import { MAX_CONTEXT } from '../limits.ts'
import type { Llama3RopeScaling } from './config.ts'
import type { ConfigReader } from './config-reader.ts'
import { badConfig, unsupported } from './config-reader.ts'

const DEFAULT_THETA = 10_000
/** Published bases go up to 5e7. */
const THETA_RANGE = { atLeast: 1, atMost: 1e12 }
const FACTOR_RANGE = { above: 0, atMost: 1e6 }

export interface Rope {
  theta: number
  scaling: Llama3RopeScaling | null
}

export function parseRope(config: ConfigReader, maxPositionEmbeddings: number): Rope {
  const newer = config.object('rope_parameters')
  const older = config.object('rope_scaling')
  const section = newer ?? older
  if (newer?.keys().includes('full_attention') === true) {
    throw unsupported('rope_parameters differ by layer type; one set for all layers is computed')
  }
  const thetaOutside = config.optionalNumber('rope_theta', THETA_RANGE)
  const thetaInside = section?.optionalNumber('rope_theta', THETA_RANGE)
  if (thetaOutside !== undefined && thetaInside !== undefined && thetaOutside !== thetaInside) {
    throw badConfig(`rope_theta is given twice, as ${thetaOutside} and ${thetaInside}`)
  }
  for (const reader of [config, section]) {
    const partial = reader?.optionalNumber('partial_rotary_factor', { above: 0, atMost: 1 })
    if (partial !== undefined && partial !== 1) throw unsupported(`partial_rotary_factor is ${partial}, not 1`)
  }
  const theta = thetaInside ?? thetaOutside ?? DEFAULT_THETA
  const type = section?.optionalString('rope_type') ?? section?.optionalString('type') ?? 'default'
  if (section === undefined || type === 'default') return { theta, scaling: null }
  if (type !== 'llama3') throw unsupported(`its rope type is "${type}"; "default" and "llama3" are computed`)
  return { theta, scaling: parseLlama3(section, config, maxPositionEmbeddings) }
}

function parseLlama3(section: ConfigReader, config: ConfigReader, maxPositionEmbeddings: number): Llama3RopeScaling {
  const original =
    section.optionalSize('original_max_position_embeddings', MAX_CONTEXT) ??
    config.optionalSize('original_max_position_embeddings', MAX_CONTEXT) ??
    // What the reference implementation falls back to since the newer style.
    maxPositionEmbeddings
  const scaling: Llama3RopeScaling = {
    ropeType: 'llama3',
    factor: section.number('factor', FACTOR_RANGE),
    lowFreqFactor: section.number('low_freq_factor', FACTOR_RANGE),
    highFreqFactor: section.number('high_freq_factor', FACTOR_RANGE),
    originalMaxPositionEmbeddings: original,
  }
  if (!(scaling.highFreqFactor > scaling.lowFreqFactor)) {
    throw badConfig(
      `rope scaling: high_freq_factor ${scaling.highFreqFactor} must be above low_freq_factor ${scaling.lowFreqFactor}`,
    )
  }
  return scaling
}
