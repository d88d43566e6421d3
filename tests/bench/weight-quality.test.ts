/**
 * `npm run bench`: what each weight format costs in quality, on the embedded model (trained in bf16) by WebAssembly: how often the
 * likeliest token is that of f32, and the perplexity, over the texts of its references, each token by token. Kept in
 * `docs/model-files.md`.
 */
import { afterAll, expect, test } from 'vitest'
import { WEIGHT_FORMATS, type WeightFormat } from '../../swarm/model/config.ts'
import { spanBytes } from '../../swarm/model/span-bytes.ts'
import type { LogitsRow } from '../../swarm/span-runner.ts'
import { compileKernels } from '../../web/wasm/kernels.ts'
import { createWasmSpanRunner } from '../../web/wasm/span-runner.ts'
import { WasmWeights } from '../../web/wasm/weights.ts'
import { readJson, readModel } from '../reference/model-files.ts'
import { readRepositoryFile } from '../reference/node-files.ts'
import { putTensors, SpanChain } from '../support/span-chain.ts'

const FOLDER = 'models/tinytales'
const REFERENCES = 'tests/fixtures/models/tinytales/reference.json'

interface Measured {
  /** Likeliest token at each place, in all texts one after another. */
  best: number[]
  /** Mean of −ln p of the token that follows. */
  loss: number
  bytes: number
}

const rows: string[] = []
afterAll(() => console.log(`\n${rows.join('\n')}\n`))

test('top-1 agreement with f32 and perplexity, per format', async () => {
  const model = await readModel(readRepositoryFile, FOLDER)
  const references = (await readJson(readRepositoryFile, REFERENCES)) as { input_ids: number[]; greedy: number[] }[]
  const texts = references.map(({ input_ids, greedy }) => [...input_ids, ...greedy])
  const kernels = await compileKernels()

  const measure = async (format: WeightFormat): Promise<Measured> => {
    const span = { start: 0, end: model.config.numHiddenLayers }
    const weights = new WasmWeights(model.config, span, format)
    await putTensors(weights, model, span)
    const chain = new SpanChain(model.config, [await createWasmSpanRunner(kernels, weights, { cacheTokens: 512 })])
    const best: number[] = []
    let [sum, count] = [0, 0]
    for (const ids of texts) {
      const session = await chain.open(512)
      for (const [index, id] of ids.entries()) {
        const row = await session.step([id])
        best.push(row.ids[0] as number)
        const next = ids[index + 1]
        if (next === undefined) continue
        sum += row.logSumExp - logitOf(row, next)
        count += 1
      }
      await session.close()
    }
    await chain.dispose()
    const { weights: bytes } = spanBytes(model.config, span, format, { cacheTokens: 1, maxRows: 1 })
    return { best, loss: sum / count, bytes }
  }

  rows.push('| format | weights | top-1 as f32 | perplexity |', '| --- | --- | --- | --- |')
  let exact: Measured | null = null
  for (const format of WEIGHT_FORMATS) {
    const measured = await measure(format)
    exact ??= measured
    const same = measured.best.filter((id, i) => id === exact?.best[i]).length
    expect(measured.best).toHaveLength(exact.best.length)
    const share = ((100 * same) / measured.best.length).toFixed(1)
    const megabytes = (measured.bytes / 1e6).toFixed(1)
    rows.push(`| ${format} | ${megabytes} MB | ${share} % | ${Math.exp(measured.loss).toFixed(3)} |`)
  }
  rows.push(`${exact?.best.length} places in ${texts.length} texts`)
})

function logitOf(row: LogitsRow, id: number): number {
  return row.values[row.ids.indexOf(id)] as number
}
