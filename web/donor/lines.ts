/** The original's log lines, word for word: people look for them, and so do tests. */
import type { BackendReason } from '../../swarm/backend.ts'
import type { KvFormat, WeightFormat } from '../../swarm/model/config.ts'
import { formatBlocks, type Span } from '../../swarm/span.ts'
import type { AdapterInfo } from './worker-messages.ts'

export type DonorMode = 'load-balancing' | 'fixed'

const NAMES: Record<DonorMode, string> = { 'load-balancing': 'Load Balancing', fixed: 'Fixed mode' }

const REASONS: Record<BackendReason, string> = {
  asked: 'as asked for',
  gpu: 'a GPU answered',
  'software-adapter': 'the browser offers only a software adapter, on which WebGPU is slower',
  'no-adapter': 'the browser offers no WebGPU adapter',
  'no-device': 'the adapter of this browser could not be opened',
  'no-webgpu': 'this browser has no WebGPU',
}

/** Not the original's: what the tab computes with, and why. */
export function computeLine({ description, backend, reason }: AdapterInfo): string {
  const means = backend === 'wasm' ? 'WebAssembly on the processor' : 'WebGPU'
  return `Computing with ${means} (${description}): ${REASONS[reason]}.`
}

/** Where nobody asked for it. */
export function kvLine({ format, kv }: { format: WeightFormat; kv: KvFormat }): string {
  return `Weights are kept as ${format}, keys and values as ${kv}: with keys and values as f32 no format fits this tab's memory.`
}

export function selectedLine(span: Span): string {
  return `Selected blocks: ${formatBlocks(span)}`
}

export function initializedLine(mode: DonorMode, peerId: string): string {
  return `P2P initialized for ${NAMES[mode]} server, PeerID: ${peerId}`
}

/** `throughput`: one-token steps a second through the whole span. */
export function readyLine(mode: DonorMode, span: Span, throughput: number): string {
  return `${NAMES[mode]} server ready, blocks=${formatBlocks(span)}, throughput=${throughput.toFixed(2)} rps`
}

export function balanceLine(check: { initial: number; simulated: number; quality: number }): string {
  const { initial, simulated, quality } = check
  return `Swarm balance quality: ${(quality * 100).toFixed(1)}% (initial=${initial.toFixed(2)}, new=${simulated.toFixed(2)})`
}

export const IMBALANCE_LINE = 'Load balancing detected imbalance, will rebalance blocks'
