/** The canary's known answers, computed again by the plain reference; and what is said of a runner that computes otherwise. */
import { expect, it, test } from 'vitest'
import { WEIGHT_FORMATS, type WeightFormat } from '../../../../swarm/model/config.ts'
import { spanTensors } from '../../../../swarm/model/tensors.ts'
import type { SpanRunner, StepOutput } from '../../../../swarm/span-runner.ts'
import {
  CANARY,
  CANARY_ANSWERS,
  CANARY_CACHE_TOKENS,
  CANARY_SPAN,
  canaryTensor,
  putCanary,
  runCanary,
} from '../../../../web/engine/canary.ts'
import { compileKernels } from '../../../../web/wasm/kernels.ts'
import { createWasmSpanRunner } from '../../../../web/wasm/span-runner.ts'
import { WasmWeights } from '../../../../web/wasm/weights.ts'
import { asStored } from '../../../reference/fixtures.ts'
import { createReferenceRunner } from '../../../reference/runner.ts'

function reference(format: WeightFormat): SpanRunner {
  const tensors = new Map(
    spanTensors(CANARY, CANARY_SPAN).map((spec) => {
      const values = canaryTensor(spec)
      return [spec.name, spec.kind === 'matrix' ? asStored(values, spec.shape[1]!, format) : values] as const
    }),
  )
  return createReferenceRunner(CANARY, tensors, CANARY_SPAN, { cacheTokens: CANARY_CACHE_TOKENS })
}

/** The runner with the logits of some steps changed. */
function changed(runner: SpanRunner, change: (output: StepOutput) => void): SpanRunner {
  return new Proxy(runner, {
    get: (target, name: keyof SpanRunner) => {
      if (name !== 'step') return target[name]
      return async (batch: Parameters<SpanRunner['step']>[0]) => {
        const outputs = await target.step(batch)
        for (const output of outputs) if (!('error' in output)) change(output)
        return outputs
      }
    },
  })
}

it.each(WEIGHT_FORMATS)('%s: the reference gives the kept answer', async (format) => {
  expect(CANARY_ANSWERS[format]).toHaveLength(CANARY.vocabSize)
  expect(await runCanary(reference(format), format)).toEqual({ exact: true })
})

it.each(WEIGHT_FORMATS)('%s: WebAssembly gives it too, to the bit however the rows are cut', async (format) => {
  const weights = new WasmWeights(CANARY, CANARY_SPAN, format)
  await putCanary(weights)
  const runner = await createWasmSpanRunner(await compileKernels(), weights, { cacheTokens: CANARY_CACHE_TOKENS })
  expect(await runCanary(runner, format)).toEqual({ exact: true })
  await runner.dispose()
})

test('the weights of another format are told from these', async () => {
  await expect(runCanary(reference('int4'), 'f32')).rejects.toMatchObject({ code: 'WRONG_RESULTS' })
  await expect(runCanary(reference('int8'), 'f32')).rejects.toMatchObject({ code: 'WRONG_RESULTS' })
})

test.each([
  ['one row', 1],
  ['all rows at once', 9],
])('a wrong value of %s is a sentence with what to do', async (_what, rows) => {
  const wrong = changed(reference('f32'), (output) => {
    if (output.rows === rows) output.logits!.values[5]! += 0.01
  })
  await expect(runCanary(wrong, 'f32')).rejects.toMatchObject({
    code: 'WRONG_RESULTS',
    message: expect.stringContaining('computes wrongly') as string,
    action: expect.stringContaining('driver') as string,
  })
})

test('what is no number is wrong', async () => {
  const wrong = changed(reference('f32'), (output) => output.logits!.values.fill(NaN))
  await expect(runCanary(wrong, 'f32')).rejects.toMatchObject({ code: 'WRONG_RESULTS' })
})

test('a bit that depends on the number of rows is right, and not exact', async () => {
  const inexact = changed(reference('f32'), (output) => {
    if (output.rows > 1) output.logits!.values[5]! += 1e-6
  })
  expect(await runCanary(inexact, 'f32')).toEqual({ exact: false })
})
