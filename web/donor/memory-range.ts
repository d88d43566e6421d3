/**
 * From where to where a person's choice of memory makes sense: from the least that holds one block (or the blocks that were
 * asked for) to the most that the whole model would use. Bytes everywhere, GB being 1e9 of them, as `memory_gb` means.
 */
import type { DonorSettings } from '../../swarm/donor-settings.ts'
import type { LlamaConfig } from '../../swarm/model/config.ts'
import { SwarmError } from '../../swarm/errors.ts'
import { spanLength } from '../../swarm/span.ts'
import { budgetForAll, chooseSizing, kvFormat, mostBytes, wantedBlocks, type DeviceMemory } from './sizing.ts'

export interface MemoryRange {
  /** Whole steps all of them. */
  leastBytes: number
  mostBytes: number
  stepBytes: number
}

/** Browsers tell no more than 8 GB, which then means "8 or more". */
const LARGEST_TOLD_GB = 8
/** GPUs of people's own machines have no more; whoever has can say so by `memory_gb`. */
const LARGEST_USUAL_BYTES = 32e9
/** Positions of the slider, at most: a key press each. */
const MAX_STEPS = 100

/** @throws SwarmError OUT_OF_MEMORY only where no budget at all would do */
export function memoryRange(config: LlamaConfig, settings: DonorSettings, device: DeviceMemory): MemoryRange {
  const least = leastBudget(config, settings, device)
  const wanted = Math.max(settings.memoryBytes ?? 0, Math.min(wholeModel(config, settings, device), mostOf(device)))
  const most = Math.max(least, Math.min(mostBytes(device), wanted))
  const stepBytes = roundStep((most - least) / MAX_STEPS)
  return {
    leastBytes: Math.ceil(least / stepBytes) * stepBytes,
    mostBytes: Math.ceil(most / stepBytes) * stepBytes,
    stepBytes,
  }
}

/** Found by halving: how cache and scratch grow with the budget has no formula to turn round. */
function leastBudget(config: LlamaConfig, settings: DonorSettings, device: DeviceMemory): number {
  const fits = (memoryBytes: number): boolean => {
    try {
      chooseSizing(config, { ...settings, memoryBytes }, device)
      return true
    } catch (error) {
      if (error instanceof SwarmError && error.code === 'OUT_OF_MEMORY') return false
      throw error
    }
  }
  // Where there is a most, nothing may fit at all: said at once.
  if (mostBytes(device) < Infinity) chooseSizing(config, { ...settings, memoryBytes: Infinity }, device)
  let low = 0
  let high = 1e6
  while (!fits(high)) {
    low = high
    high *= 2
  }
  while (high - low > Math.max(1, high / 1e4)) {
    const middle = Math.floor((low + high) / 2)
    if (fits(middle)) high = middle
    else low = middle
  }
  return high
}

function wholeModel(config: LlamaConfig, settings: DonorSettings, device: DeviceMemory): number {
  const wanted = wantedBlocks(config, settings)
  const length = wanted === null ? config.numHiddenLayers : typeof wanted === 'number' ? wanted : spanLength(wanted)
  return budgetForAll(config, length, {
    format: settings.weights === 'auto' ? 'f32' : settings.weights,
    kv: kvFormat(settings, device),
  })
}

function mostOf({ deviceMemoryGb }: DeviceMemory): number {
  return deviceMemoryGb === null || deviceMemoryGb >= LARGEST_TOLD_GB ? LARGEST_USUAL_BYTES : deviceMemoryGb * 2 ** 30
}

/** The next 1, 2 or 5 with zeros. */
function roundStep(bytes: number): number {
  const power = 10 ** Math.floor(Math.log10(Math.max(bytes, 1_000)))
  return [1, 2, 5, 10].map((factor) => factor * power).find((step) => step >= bytes) ?? power
}
