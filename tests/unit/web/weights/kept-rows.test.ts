/** What is kept of a matrix in a format: its rows as they are stored, so that the next visit neither downloads nor converts. */
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { openModel, type ModelSource } from '../../../../hub/source.ts'
import type { LlamaConfig, WeightFormat } from '../../../../swarm/model/config.ts'
import { parseLlamaConfig } from '../../../../swarm/model/parse-config.ts'
import { matrixBytes, rowBytes, scaleBytes } from '../../../../swarm/model/span-bytes.ts'
import { spanTensors, type TensorDtype, type TensorSpec } from '../../../../swarm/model/tensors.ts'
import { toF32 } from '../../../../web/engine/convert.ts'
import { storeRows } from '../../../../web/engine/quantize.ts'
import { KeptWeights } from '../../../../web/weights/kept-weights.ts'
import { loadSpan, type LoadResult } from '../../../../web/weights/load-span.ts'
import { openWeightCache } from '../../../../web/weights/opfs-cache.ts'
import { prepareSpan } from '../../../../web/weights/prepare-span.ts'
import { tensorFromFiles } from '../../../support/checkpoint-bytes.ts'
import { asLocks, FakeLocks } from '../../../support/fake-locks.ts'
import { asRoot, FakeFolder } from '../../../support/fake-opfs.ts'
import type { HubStandIn } from '../../../support/hub-stand-in.ts'
import { startHubStandIn } from '../../../support/hub-stand-in.ts'
import { MemorySink } from '../../../support/memory-sink.ts'

const fixture = (name: string): string => fileURLToPath(new URL(`../../../fixtures/models/${name}`, import.meta.url))
const REPOS = ['untied-bf16-sharded', 'odd-sizes-f32', 'mha-f16', 'biases-f32'] as const
const SMALL = REPOS[0]
const folders: Record<string, string> = Object.fromEntries(REPOS.map((name) => [name, fixture(name)]))
const STORED = ['f16', 'int8', 'int4'] as const
const ENTRY_HEAD_BYTES = 40

let hub: HubStandIn
let folder: FakeFolder

beforeAll(async () => {
  hub = await startHubStandIn({ models: folders })
})
afterAll(() => hub.close())
beforeEach(() => {
  folder = new FakeFolder()
})

async function open(repo: string): Promise<{ source: ModelSource; config: LlamaConfig }> {
  const source = await openModel({ repo, hubUrl: hub.url })
  return { source, config: parseLlamaConfig(await source.json('config.json')) }
}

async function load(
  repo: string,
  format: WeightFormat,
  quota: FakeFolder = folder,
): Promise<{ sink: MemorySink; result: LoadResult; specs: TensorSpec[] }> {
  const { source, config } = await open(repo)
  const cache = await openWeightCache({ root: asRoot(quota), onWarning: () => undefined })
  const span = { start: 0, end: config.numHiddenLayers }
  const sink = new MemorySink(format)
  const result = await loadSpan({ source, config, span, sink, cache, onProgress: () => undefined })
  return { sink, result, specs: spanTensors(config, span) }
}

const rowsIn = (specs: readonly TensorSpec[]): number =>
  specs.reduce((sum, { kind, shape }) => sum + (kind === 'matrix' ? (shape[0] as number) : 0), 0)

/** Every tensor of the sink against one conversion of the whole tensor, straight from the files. */
function expectDirect(repo: string, format: WeightFormat, sink: MemorySink, specs: readonly TensorSpec[]): void {
  for (const { name, kind, shape } of specs) {
    const { dtype, bytes } = tensorFromFiles(folders[repo] as string, name)
    if (kind === 'vector') {
      expect(sink.bytesOf(name).equals(bytes), name).toBe(true)
      continue
    }
    const direct = storeRows(toF32(dtype as TensorDtype, bytes), shape[1] as number, format, name)
    const { weights, scales } = sink.rowsOf(name)
    expect(weights.equals(direct.weights), `${name} weights`).toBe(true)
    expect(scales.equals(direct.scales), `${name} scales`).toBe(true)
  }
}

const entries = (): Map<string, Uint8Array> =>
  [...(folder.folders.get('weights-v1')?.folders.values() ?? [])][0]?.files ?? new Map()

describe.each(REPOS)('%s', (repo) => {
  test.each(STORED)('%s: the bits of a direct conversion, and again from what was kept', async (format) => {
    const first = await load(repo, format)
    expectDirect(repo, format, first.sink, first.specs)
    expect(first.result).toMatchObject({ fetchedBytes: first.result.totalBytes, convertedRows: rowsIn(first.specs) })
    hub.requests.length = 0
    const second = await load(repo, format)
    expectDirect(repo, format, second.sink, second.specs)
    expect(second.result).toMatchObject({ fetchedBytes: 0, cachedBytes: first.result.totalBytes, convertedRows: 0 })
    expect(hub.requests.filter(({ file }) => file?.includes('safetensors') === true)).toEqual([])
  })
})

test('kept are the rows and not the file, and the list of what is kept counts them', async () => {
  const { specs } = await load(SMALL, 'int4')
  const { source } = await open(SMALL)
  const matrices = specs.filter(({ kind }) => kind === 'matrix')
  const rowBytesKept = matrices.reduce((sum, { shape }) => sum + matrixBytes(shape[0]!, shape[1]!, 'int4'), 0)
  const ofRows = [...entries()].filter(([name]) => name.includes('.int4-'))
  expect(ofRows.reduce((sum, [, bytes]) => sum + bytes.length - ENTRY_HEAD_BYTES, 0)).toBe(rowBytesKept)
  const vectorBytes = specs.reduce(
    (sum, { kind, shape }) => sum + (kind === 'vector' ? 2 * (shape[0] as number) : 0),
    0,
  )
  const ofFiles = [...entries()].filter(([name]) => /@\d+-\d+$/.test(name))
  expect(ofFiles.reduce((sum, [, bytes]) => sum + bytes.length - ENTRY_HEAD_BYTES, 0)).toBe(vectorBytes)
  const kept = new KeptWeights({ root: asRoot(folder), locks: asLocks(new FakeLocks()) })
  const [listed] = await kept.list()
  expect(listed?.bytes).toBe([...entries().values()].reduce((sum, bytes) => sum + bytes.length, 0))
  expect(await kept.delete(source)).toEqual({ outcome: 'deleted', freedBytes: listed?.bytes })
  expect((await load(SMALL, 'int4')).result.cachedBytes).toBe(0)
})

test('f32 keeps the file as it is; another format makes its rows of that, without a download', async () => {
  const inFile = await load(SMALL, 'f32')
  expect(inFile.result.convertedRows).toBe(0)
  expect([...entries().keys()].filter((name) => /\.(f16|int8|int4)-/.test(name))).toEqual([])
  for (const format of STORED) {
    const made = await load(SMALL, format)
    expect(made.result).toMatchObject({ fetchedBytes: 0, convertedRows: rowsIn(made.specs) })
    expectDirect(SMALL, format, made.sink, made.specs)
    expect((await load(SMALL, format)).result).toMatchObject({ fetchedBytes: 0, convertedRows: 0 })
  }
})

test('another format than the one that was kept downloads the matrices, and says so before', async () => {
  const { specs } = await load(SMALL, 'int4')
  const { source, config } = await open(SMALL)
  const cache = await openWeightCache({ root: asRoot(folder), onWarning: () => undefined })
  const span = { start: 0, end: config.numHiddenLayers }
  const vectors = specs.reduce((sum, { kind, shape }) => sum + (kind === 'vector' ? 2 * (shape[0] as number) : 0), 0)
  const plan = await prepareSpan({ source, config, span, format: 'int8', cache })
  expect(plan.cachedBytes).toBe(vectors)
  const { result, sink } = await load(SMALL, 'int8')
  expect(result).toMatchObject({ fetchedBytes: plan.downloadBytes, cachedBytes: vectors })
  expectDirect(SMALL, 'int8', sink, specs)
  // The first one is still there.
  expect((await load(SMALL, 'int4')).result).toMatchObject({ fetchedBytes: 0, convertedRows: 0 })
})

test.each([
  ['a changed byte', (bytes: Uint8Array) => bytes.map((byte, i) => (i === 200 ? byte ^ 1 : byte))],
  ['a short file', (bytes: Uint8Array) => bytes.subarray(0, 150)],
  ['an empty file', () => new Uint8Array(0)],
  ['something else', () => new Uint8Array(2000).fill(7)],
  ['a whole entry of another length', () => null],
])('%s in kept rows: that piece alone is fetched and converted again', async (_what, damage) => {
  const first = await load(SMALL, 'int4')
  const spec = first.specs.find(({ name }) => name === 'model.layers.1.mlp.down_proj.weight') as TensorSpec
  const [rows, width] = spec.shape as [number, number]
  const bytes = rows * (rowBytes(width, 'int4') + scaleBytes(width, 'int4'))
  const [name, entry] = [...entries()].find(
    ([key, value]) => key.includes('.int4-') && value.length === bytes + ENTRY_HEAD_BYTES,
  ) as [string, Uint8Array]
  // Right by its checksum, and no rows of this matrix: a vector's entry in its place.
  const other = [...entries()].find(([key]) => /@\d+-\d+$/.test(key))?.[1] as Uint8Array
  entries().set(name, damage(entry) ?? other)
  const { result, sink, specs } = await load(SMALL, 'int4')
  expect(result).toMatchObject({ fetchedBytes: 2 * rows * width, convertedRows: rows })
  expectDirect(SMALL, 'int4', sink, specs)
  expect((await load(SMALL, 'int4')).result).toMatchObject({ fetchedBytes: 0, convertedRows: 0 })
})

test('damaged rows of which the file is kept as well are made of that again', async () => {
  await load(SMALL, 'f32')
  await load(SMALL, 'int4')
  const name = [...entries().keys()].find((key) => key.includes('.int4-')) as string
  entries().set(name, new Uint8Array(100))
  const { result, sink, specs } = await load(SMALL, 'int4')
  expect(result.fetchedBytes).toBe(0)
  expect(result.convertedRows).toBeGreaterThan(0)
  expectDirect(SMALL, 'int4', sink, specs)
})

test('no room for the rows: loading goes on, and what was kept is found', async () => {
  const left = 60_000
  const small = new FakeFolder({ left })
  const first = await load(SMALL, 'int4', small)
  expectDirect(SMALL, 'int4', first.sink, first.specs)
  const { result } = await load(SMALL, 'int4', small)
  // Counted as they were in the file, and kept as a quarter of that.
  expect(result.cachedBytes).toBeGreaterThan(left)
  expect(result.fetchedBytes + result.cachedBytes).toBe(result.totalBytes)
})
