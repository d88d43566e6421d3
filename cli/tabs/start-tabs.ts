/** The donor tabs of `start`: as many as asked for, each with its share of the blocks. */
import { availableParallelism } from 'node:os'
import type { LlamaConfig, WeightChoice } from '../../swarm/model/config.ts'
import { mayHaveGpu } from '../browser/flags.ts'
import type { Lifecycle } from '../lifecycle.ts'
import type { ValuesOf } from '../options/schema.ts'
import type { browserOptions, computeOptions, placementOptions } from '../options/shared.ts'
import type { Output } from '../output/console.ts'
import type { Slot } from '../profile/slots.ts'
import { openBrowser } from './browser-session.ts'
import { checkTabMemory } from './memory.ts'
import { openTabGroup, type TabGroup } from './tab-group.ts'

export interface StartTabsOptions {
  values: { tabs: number } & ValuesOf<typeof browserOptions & typeof computeOptions & typeof placementOptions>
  /** Port of page and relay on loopback. */
  port: number
  config: LlamaConfig
  token: string | null
  slot: Slot
  lifecycle: Lifecycle
  output: Output
}

/** @throws SwarmError OUT_OF_MEMORY, NO_BROWSER, NO_ADAPTER, and what a tab refuses */
export async function openSwarmTabs(options: StartTabsOptions): Promise<TabGroup> {
  const { values, config, lifecycle, output } = options
  const numBlocks = values.numBlocks ?? sharePerTab(config.numHiddenLayers, values.tabs)
  checkTabMemory({
    tabs: values.tabs,
    numBlocks,
    config,
    weights: values.weights as WeightChoice,
    software: values.backend === 'software' || values.backend === 'wasm' || !mayHaveGpu(),
  })
  const browser = await openBrowser({ ...values, port: options.port, slot: options.slot, lifecycle, output })
  output.progress(`Opening ${counted(values.tabs, 'donor tab')} with ${counted(numBlocks, 'block')} each …`)
  const isFixed = values.splits !== undefined && values.stage !== undefined && !values.useLoadBalancing
  const group = await openTabGroup({
    context: browser.context,
    count: values.tabs,
    // The page's own visitors choose by their memory and machine; only these tabs share model and processors evenly.
    query: {
      ...(isFixed ? {} : { num_blocks: String(numBlocks) }),
      threads: String(values.threads ?? processorsPerTab(availableParallelism(), values.tabs)),
    },
    token: options.token,
    output,
    signal: lifecycle.signal,
  })
  lifecycle.onClose('tabs', () => group.close())
  return group
}

/** Blocks a tab serves so that all tabs together cover the model once, with as few hops as that allows. */
export function sharePerTab(blocks: number, tabs: number): number {
  return Math.ceil(blocks / Math.max(1, tabs))
}

/** Processors for each of so many tabs on this machine. */
export function processorsPerTab(processors: number, tabs: number): number {
  return Math.max(1, Math.floor(processors / Math.max(1, tabs)))
}

function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`
}
