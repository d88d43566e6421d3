/**
 * How much a tab takes on: memory budget, weight format, span length and KV cache. The bytes come from `spanBytes`, the same
 * figure that loader and page use. Says no in a sentence before anything is downloaded.
 */
import type { Backend } from '../../swarm/backend.ts'
import { fixedSpan, type DonorSettings } from '../../swarm/donor-settings.ts'
import { SwarmError } from '../../swarm/errors.ts'
import { MAX_SESSIONS } from '../../swarm/limits.ts'
import {
  KV_FORMATS,
  WEIGHT_FORMATS,
  type KvFormat,
  type LlamaConfig,
  type WeightFormat,
} from '../../swarm/model/config.ts'
import { ENGINE_MAX_ROWS, kvBytesPerToken, spanBytes } from '../../swarm/model/span-bytes.ts'
import { spanLength, type Span } from '../../swarm/span.ts'
import { MOST_WASM_BYTES } from '../wasm/limits.ts'

export interface Sizing {
  format: WeightFormat
  /** Blocks that the tab serves. */
  length: number
  /** KV tokens over the whole span, for all sessions together. */
  cacheTokens: number
  kv: KvFormat
  budgetBytes: number
}

type Formats = Pick<Sizing, 'format' | 'kv'>
type Cached = Omit<Sizing, 'length' | 'budgetBytes'>

/** What a browser does not tell: a phone or a laptop of the smaller kind. */
const ASSUMED_MEMORY_GB = 4
/** Of the device's memory. What runs on the processor shares it with everything else, a GPU often has its own. */
const SHARE_OF_MEMORY: Readonly<Record<Backend, number>> = { webgpu: 0.5, software: 0.4, wasm: 0.4 }
/** KV cache may take so much of the budget at most; what is left over goes to weights. */
const CACHE_SHARE = 0.25
/** Tokens of one session that the cache is sized for; longer ones take the place of several. */
const TYPICAL_SESSION_TOKENS = 2_048
/** The least that a session of some use needs. */
const SMALLEST_CACHE_TOKENS = 512
/** Blocks that f32 must leave room for before `auto` takes it, when nobody says how many: fewer make long routes. */
const WORTHWHILE_BLOCKS = 4

export interface DeviceMemory {
  backend: Backend
  /** GB (2^30); null where the browser does not tell. */
  deviceMemoryGb: number | null
}

/**
 * `served`: the format that the swarm is of, if any; `auto` takes it where it fits, since a text keeps to one format.
 * @throws SwarmError OUT_OF_MEMORY with what would fit
 */
export function chooseSizing(
  config: LlamaConfig,
  settings: DonorSettings,
  device: DeviceMemory,
  served: WeightFormat | null = null,
): Sizing {
  const budgetBytes = Math.min(settings.memoryBytes ?? defaultBudget(device), mostBytes(device))
  const wanted = wantedBlocks(config, settings)
  const kv = kvFormat(settings, device)
  const formats: WeightFormat[] = settings.weights === 'auto' ? [...WEIGHT_FORMATS] : [settings.weights]
  const asServed =
    settings.weights === 'auto' && served !== null
      ? sizeFor(config, wanted, { format: served, kv }, budgetBytes, false)
      : null
  if (asServed !== null) return asServed
  // Halves of keys and values only where no format does without: they round every token that later ones look back at.
  const isFree = settings.weights === 'auto' && settings.kv === null && device.backend !== 'wasm'
  for (const kept of isFree ? KV_FORMATS : [kv]) {
    for (const format of formats) {
      const sizing = sizeFor(config, wanted, { format, kv: kept }, budgetBytes, format === formats.at(-1))
      if (sizing !== null) return sizing
    }
  }
  throw tooLarge(config, wanted, { format: formats.at(-1) ?? 'int4', kv }, budgetBytes)
}

/** What keys and values are kept as where it is not the last resort: WebAssembly has no kernels for halves. */
export function kvFormat({ kv }: DonorSettings, { backend }: DeviceMemory): KvFormat {
  return backend === 'wasm' ? 'f32' : (kv ?? 'f32')
}

/** What link and person ask for; null: as many as fit. */
export function wantedBlocks(config: LlamaConfig, settings: DonorSettings): Span | number | null {
  const { placement, numBlocks } = settings
  return placement.mode === 'fixed' ? fixedSpan(placement, config.numHiddenLayers) : numBlocks
}

/** A budget from which more buys nothing: that many blocks in that format, with all the cache that is of use. */
export function budgetForAll(config: LlamaConfig, length: number, formats: Formats): number {
  const cacheTokens = usefulCacheTokens(config)
  const cacheAllows = Math.ceil((kvBytesPerToken(config, formats.kv) * length * cacheTokens) / CACHE_SHARE)
  return Math.max(bytesOfDearest(config, length, { ...formats, cacheTokens }), cacheAllows)
}

/** Bytes that a span takes on the GPU with this sizing. */
export function bytesOf(config: LlamaConfig, span: Span, sizing: Sizing): number {
  return totalBytes(config, span, sizing)
}

/** Bytes of the dearest span of that length: one end holds the embedding table, the other norm and head. */
export function bytesOfDearest(config: LlamaConfig, length: number, sizing: Cached): number {
  const blocks = config.numHiddenLayers
  const first = totalBytes(config, { start: 0, end: length }, sizing)
  const last = totalBytes(config, { start: blocks - length, end: blocks }, sizing)
  return Math.max(first, last)
}

function sizeFor(
  config: LlamaConfig,
  wanted: Span | number | null,
  formats: Formats,
  budgetBytes: number,
  isLastChoice: boolean,
): Sizing | null {
  const at = (length: number): Sizing => ({
    ...formats,
    length,
    cacheTokens: cacheTokensFor(config, formats.kv, length, budgetBytes),
    budgetBytes,
  })
  if (wanted !== null) {
    const sizing = at(typeof wanted === 'number' ? wanted : spanLength(wanted))
    const bytes = typeof wanted === 'number' ? bytesOfDearest(config, wanted, sizing) : bytesOf(config, wanted, sizing)
    return bytes <= budgetBytes ? sizing : null
  }
  const length = mostBlocks(config, (candidate) => bytesOfDearest(config, candidate, at(candidate)) <= budgetBytes)
  const enough = Math.min(WORTHWHILE_BLOCKS, config.numHiddenLayers)
  return length >= (isLastChoice ? 1 : enough) ? at(length) : null
}

/** The largest length that fits; bytes grow with the length. */
function mostBlocks(config: LlamaConfig, fits: (length: number) => boolean): number {
  let low = 0
  let high = config.numHiddenLayers
  while (low < high) {
    const middle = Math.ceil((low + high) / 2)
    if (fits(middle)) low = middle
    else high = middle - 1
  }
  return low
}

function cacheTokensFor(config: LlamaConfig, kv: KvFormat, length: number, budgetBytes: number): number {
  const affordable = Math.floor((budgetBytes * CACHE_SHARE) / (kvBytesPerToken(config, kv) * length))
  const least = Math.min(config.maxPositionEmbeddings, SMALLEST_CACHE_TOKENS)
  return Math.max(least, Math.min(usefulCacheTokens(config), affordable))
}

function usefulCacheTokens(config: LlamaConfig): number {
  return Math.min(config.maxPositionEmbeddings, TYPICAL_SESSION_TOKENS) * MAX_SESSIONS
}

function totalBytes(config: LlamaConfig, span: Span, { format, kv, cacheTokens }: Cached): number {
  return spanBytes(config, span, format, { cacheTokens, kv, maxRows: ENGINE_MAX_ROWS }).total
}

function defaultBudget(device: DeviceMemory): number {
  return Math.floor((device.deviceMemoryGb ?? ASSUMED_MEMORY_GB) * 2 ** 30 * SHARE_OF_MEMORY[device.backend])
}

/** What one span may take at all, whatever the device has. */
export function mostBytes({ backend }: DeviceMemory): number {
  return backend === 'wasm' ? MOST_WASM_BYTES : Infinity
}

function tooLarge(
  config: LlamaConfig,
  wanted: Span | number | null,
  formats: Formats,
  budgetBytes: number,
): SwarmError {
  const { format, kv } = formats
  const fitting = mostBlocks(
    config,
    (length) =>
      bytesOfDearest(config, length, { ...formats, cacheTokens: cacheTokensFor(config, kv, length, budgetBytes) }) <=
      budgetBytes,
  )
  const count = wanted === null ? 1 : typeof wanted === 'number' ? wanted : spanLength(wanted)
  const needed = bytesOfDearest(config, count, {
    ...formats,
    cacheTokens: cacheTokensFor(config, kv, count, budgetBytes),
  })
  const what = `${count} ${count === 1 ? 'block' : 'blocks'} in ${format}`
  const action =
    fitting === 0
      ? 'Allow the tab more memory, or choose a smaller model.'
      : `Serve at most ${fitting} ${fitting === 1 ? 'block' : 'blocks'} (num_blocks), or allow the tab more memory.`
  return new SwarmError(
    'OUT_OF_MEMORY',
    `${what} take ${gigabytes(needed)} GB, and this tab may use ${gigabytes(budgetBytes)} GB.`,
    { action, details: { needed, budget: budgetBytes, fitting } },
  )
}

function gigabytes(bytes: number): string {
  return (bytes / 1e9).toFixed(bytes < 1e9 ? 3 : 1)
}
