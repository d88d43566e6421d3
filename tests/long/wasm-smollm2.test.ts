/** SmolLM2-135M-Instruct by WebAssembly in Node, where its files are; counted as skipped elsewhere. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { compileKernels } from '../../web/wasm/kernels.ts'
import { createWasmSpanRunner } from '../../web/wasm/span-runner.ts'
import { WasmWeights } from '../../web/wasm/weights.ts'
import type { ReadFile } from '../reference/model-files.ts'
import { asF32, readModel, readSafetensors } from '../reference/model-files.ts'
import { makeSmolLm2, SMOLLM2, SMOLLM2_SOURCE } from '../support/smollm2.ts'
import { maxDelta, putTensors, SpanChain } from '../support/span-chain.ts'

interface Reference {
  input_ids: number[]
  greedy: number[]
  steps_before_a_near_tie?: number
}

/** Null where there is no such file. */
const read: ReadFile = (path) =>
  readFile(path)
    .then((bytes) => new Uint8Array(bytes))
    .catch(() => null)

describe.skipIf(SMOLLM2_SOURCE === null)(SMOLLM2, () => {
  it('prompt logits and greedy ids of every case, f32 weights, 30 blocks', async () => {
    const source = SMOLLM2_SOURCE as string
    const model = await readModel(read, join(makeSmolLm2(), SMOLLM2))
    const references = JSON.parse(await readFile(join(source, 'reference.json'), 'utf8')) as Reference[]
    const logits = await readSafetensors(read, join(source, 'reference.safetensors'))
    const span = { start: 0, end: model.config.numHiddenLayers }
    const weights = new WasmWeights(model.config, span, 'f32')
    await putTensors(weights, model, span)
    const runner = await createWasmSpanRunner(await compileKernels(), weights, { cacheTokens: 512 })
    const chain = new SpanChain(model.config, [runner])
    let [decodeMs, decoded] = [0, 0]
    for (const [index, reference] of references.entries()) {
      const session = await chain.open(512)
      let row = await session.step(reference.input_ids)
      expect(maxDelta(row, asF32(logits.get(`${index}.prompt_last_logits`)!))).toBeLessThanOrEqual(1e-3)
      const ids = reference.greedy.slice(0, reference.steps_before_a_near_tie ?? reference.greedy.length)
      const started = performance.now()
      for (const id of ids) {
        expect(row.ids[0]).toBe(id)
        row = await session.step([id], 40)
      }
      decodeMs += performance.now() - started
      decoded += ids.length
      await session.close()
    }
    const ms = decodeMs / decoded
    console.log(`SmolLM2 by WebAssembly, one token through 30 blocks and head: ${ms.toFixed(0)} ms`)
    await chain.dispose()
  })
})
