/** Sizes spans for memory limits as a donor does, runs them with all that fits, and counts the bytes of all buffers. */
import { makeDonorSettings } from '../../../swarm/donor-settings.ts'
import { MAX_SESSIONS, MAX_TOP_K } from '../../../swarm/limits.ts'
import type { WeightChoice, WeightFormat } from '../../../swarm/model/config.ts'
import { spanLength, type Span } from '../../../swarm/span.ts'
import type { StepInput } from '../../../swarm/span-runner.ts'
import { memoryRange } from '../../../web/donor/memory-range.ts'
import { bytesOf, bytesOfDearest, chooseSizing } from '../../../web/donor/sizing.ts'
import { createSpanRunner } from '../../../web/engine/span-runner.ts'
import type { Gpu } from '../../../web/gpu/device.ts'
import type { ModelFiles } from '../../reference/model-files.ts'
import { BufferCount } from './counted-gpu.ts'
import { loadWeights, ok } from './model-lab.ts'

export interface MemoryResult {
  /** What the slider says. */
  allowed: number
  blocks: number
  format: string
  cacheTokens: number
  /** What the plan says of this span. */
  planned: number
  /** The most that was there at once. */
  taken: number
  /** After the runner was disposed of. */
  left: number
  sessions: number
}

const DEVICE = { backend: 'software', deviceMemoryGb: 8 } as const

export async function measureMemory(
  gpu: Gpu,
  model: ModelFiles,
  weights: WeightChoice,
  positions: number,
): Promise<MemoryResult[]> {
  const { config } = model
  const range = memoryRange(config, makeDonorSettings({ weights }), DEVICE)
  const results: MemoryResult[] = []
  for (let i = 0; i < positions; i += 1) {
    const share = positions === 1 ? 0 : i / (positions - 1)
    const steps = Math.round((share * (range.mostBytes - range.leastBytes)) / range.stepBytes)
    const allowed = range.leastBytes + steps * range.stepBytes
    const sizing = chooseSizing(config, makeDonorSettings({ weights, memoryGb: allowed / 1e9 }), DEVICE)
    const last = config.numHiddenLayers
    const ends: Span[] = [
      { start: 0, end: sizing.length },
      { start: last - sizing.length, end: last },
    ]
    for (const span of ends) {
      const counted = new BufferCount(gpu)
      try {
        const sessions = await fill(gpu, model, span, sizing)
        results.push({
          allowed,
          blocks: spanLength(span),
          format: sizing.format,
          cacheTokens: sizing.cacheTokens,
          planned: Math.min(bytesOf(config, span, sizing), bytesOfDearest(config, sizing.length, sizing)),
          taken: counted.takeMost(),
          left: counted.now,
          sessions,
        })
      } finally {
        counted.stop()
      }
    }
  }
  return results
}

/** Loads, opens as many sessions as there is cache for, runs a long step in the last, and disposes. Resolves with how many. */
async function fill(
  gpu: Gpu,
  model: ModelFiles,
  span: Span,
  { format, cacheTokens }: { format: WeightFormat; cacheTokens: number },
): Promise<number> {
  const { config } = model
  const runner = await createSpanRunner(gpu, config, await loadWeights(gpu, model, span, format), { cacheTokens })
  let sessions = 0
  while (sessions < MAX_SESSIONS) {
    const others = MAX_SESSIONS - sessions
    // The last one takes all that is left, so that not a token of the cache stays unused.
    const even = Math.floor(runner.status().cacheTokensLeft / others)
    const maxTokens = Math.min(config.maxPositionEmbeddings, others === 1 ? runner.status().cacheTokensLeft : even)
    if (maxTokens < 1) break
    const session = sessions.toString(16).padStart(32, '0')
    await runner.openSession({ session, span, maxTokens })
    sessions += 1
    // Steps take their time, and all go through the same buffers: one is enough.
    if (others > 1) continue
    const rows = Math.min(70, maxTokens)
    const step: StepInput = {
      session,
      position: 0,
      rows,
      ...(span.start === 0
        ? { tokens: new Uint32Array(rows).fill(1) }
        : { hidden: new Float32Array(rows * config.hiddenSize).fill(0.01) }),
      ...(runner.hasHead ? { logits: { topK: MAX_TOP_K } } : {}),
    }
    ok((await runner.step([step]))[0])
  }
  await runner.dispose()
  return sessions
}
