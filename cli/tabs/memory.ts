/**
 * Whether so many donor tabs fit this machine, before any is opened. On the software adapter weights and caches are
 * system memory; on a GPU only the page's own part is, and the tab checks the rest itself.
 */
import { readFileSync } from 'node:fs'
import { freemem } from 'node:os'
import { SwarmError } from '../../swarm/errors.ts'
import type { LlamaConfig, WeightChoice, WeightFormat } from '../../swarm/model/config.ts'
import { ENGINE_MAX_ROWS, spanBytes } from '../../swarm/model/span-bytes.ts'

const MIB = 1024 * 1024
/** Measured: a page 110–160 MiB, and 53 MiB a tab in the GPU process beyond the weights. */
const TAB_BYTES = 215 * MIB
/** The browser itself with its GPU and network processes. */
const BROWSER_BYTES = 300 * MIB
/** KV set aside by a tab that has room; a smaller machine gives less, so this much is not demanded. */
const LEAST_CACHE_TOKENS = 1024

export interface TabMemory {
  tabs: number
  numBlocks: number
  config: LlamaConfig
  weights: WeightChoice
  software: boolean
}

/** Bytes that the tabs take at least. */
export function tabBytes({ tabs, numBlocks, config, weights, software }: TabMemory): number {
  const blocks = Math.min(numBlocks, config.numHiddenLayers)
  // Auto takes the smallest where none of the more exact ones fits.
  const format: WeightFormat = weights === 'auto' ? 'int4' : weights
  const span = { start: 0, end: blocks }
  const cacheTokens = Math.min(LEAST_CACHE_TOKENS, config.maxPositionEmbeddings)
  const { total } = spanBytes(config, span, format, { cacheTokens, maxRows: ENGINE_MAX_ROWS })
  return BROWSER_BYTES + tabs * (TAB_BYTES + (software ? total : 0))
}

/** @throws SwarmError OUT_OF_MEMORY naming what is needed and what is there */
export function checkTabMemory(need: TabMemory, available: number = availableBytes()): void {
  const bytes = tabBytes(need)
  if (bytes <= available) return
  const most = Math.max(0, Math.floor((need.tabs * (available - BROWSER_BYTES)) / (bytes - BROWSER_BYTES)))
  throw new SwarmError(
    'OUT_OF_MEMORY',
    `${need.tabs} tabs with ${need.numBlocks} blocks each need about ${gigabytes(bytes)} GB of memory, and ${gigabytes(available)} GB are free`,
    {
      action:
        most > 0
          ? `Start with --tabs ${most} or fewer, or lower --num-blocks.`
          : 'Free some memory, or start with --tabs 0.',
      details: { needed: bytes, available },
    },
  )
}

/** What the system can still give without swapping, and no more than a container's limit leaves. */
export function availableBytes(): number {
  const system = readNumber('/proc/meminfo', /^MemAvailable:\s+(\d+) kB/m)
  const free = system === null ? freemem() : system * 1024
  const limit = readNumber('/sys/fs/cgroup/memory.max', /^(\d+)/)
  const used = readNumber('/sys/fs/cgroup/memory.current', /^(\d+)/)
  return limit === null || used === null ? free : Math.min(free, Math.max(0, limit - used))
}

function readNumber(file: string, pattern: RegExp): number | null {
  try {
    const match = pattern.exec(readFileSync(file, 'utf8'))
    return match?.[1] === undefined ? null : Number(match[1])
  } catch {
    // Not on this system.
    return null
  }
}

function gigabytes(bytes: number): string {
  return (bytes / 1e9).toFixed(1)
}
