import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { openModel } from '../../../../hub/source.ts'
import type { ModelSource } from '../../../../hub/source.ts'
import { SwarmError } from '../../../../swarm/errors.ts'
import type { LlamaConfig } from '../../../../swarm/model/config.ts'
import { parseLlamaConfig } from '../../../../swarm/model/parse-config.ts'
import { parseSafetensorsHeader, readHeaderLength } from '../../../../swarm/model/safetensors.ts'
import { spanTensors, tensorElements } from '../../../../swarm/model/tensors.ts'
import type { Span } from '../../../../swarm/span.ts'
import { loadSpan } from '../../../../web/weights/load-span.ts'
import { openWeightCache } from '../../../../web/weights/opfs-cache.ts'
import { prepareSpan, SpanCounter } from '../../../../web/weights/prepare-span.ts'
import type { SpanProgress } from '../../../../web/weights/progress.ts'
import { asRoot, FakeFolder } from '../../../support/fake-opfs.ts'
import type { HubStandIn } from '../../../support/hub-stand-in.ts'
import { startHubStandIn } from '../../../support/hub-stand-in.ts'
import { tensorFromFiles } from '../../../support/checkpoint-bytes.ts'
import { MemorySink } from '../../../support/memory-sink.ts'
import { buildSafetensors } from '../../../support/safetensors-builder.ts'

const models = fileURLToPath(new URL('../../../../tests/fixtures/models/', import.meta.url))
const tinytales = fileURLToPath(new URL('../../../../models/tinytales/', import.meta.url))
const folders: Record<string, string> = {
  tinytales,
  ...Object.fromEntries(
    ['blocks32-bf16-sharded', 'untied-bf16-sharded', 'biases-f32', 'mha-f16'].map((name) => [name, join(models, name)]),
  ),
}

let hub: HubStandIn
let scratch: string

beforeEach(async () => {
  scratch = mkdtempSync(join(tmpdir(), 'weights-test-'))
  hub = await startHubStandIn({ models: { ...folders, scratch: tinytales } })
})

afterEach(async () => {
  expect(hub.tokenLeaks()).toEqual([])
  await hub.close()
  rmSync(scratch, { recursive: true })
})

async function openWithConfig(repo: string, token?: string): Promise<{ source: ModelSource; config: LlamaConfig }> {
  const retry = { baseDelayMs: 1, maxDelayMs: 2, stallMs: 500 }
  const source = await openModel({ repo, hubUrl: hub.url, retry, ...(token === undefined ? {} : { token }) })
  return { source, config: parseLlamaConfig(await source.json('config.json')) }
}

async function load(
  repo: string,
  span: Span,
  extra: Omit<Partial<Parameters<typeof loadSpan>[0]>, 'sink'> = {},
): Promise<{
  sink: MemorySink
  progress: SpanProgress[]
  result: Awaited<ReturnType<typeof loadSpan>>
  config: LlamaConfig
}> {
  const { source, config } = await openWithConfig(repo)
  const sink = new MemorySink()
  const progress: SpanProgress[] = []
  const result = await loadSpan({
    source,
    config,
    span,
    sink,
    cache: null,
    onProgress: (report) => progress.push(report),
    ...extra,
  })
  return { sink, progress, result, config }
}

const fromFiles = (folder: string, name: string): Uint8Array => tensorFromFiles(folder, name).bytes

const weightRequests = (): (string | null)[] =>
  hub.requests.filter((request) => request.origin === 'storage').map((request) => request.range)

function newCache(folder: FakeFolder, warnings: SwarmError[] = []) {
  return openWeightCache({ root: asRoot(folder), onWarning: (warning) => warnings.push(warning) })
}

async function errorOf(action: () => Promise<unknown>): Promise<SwarmError> {
  try {
    await action()
  } catch (error) {
    if (error instanceof SwarmError) return error
    throw error
  }
  throw new Error('nothing was thrown')
}

describe('without a cache', () => {
  test.each([
    ['tinytales', { start: 0, end: 8 }],
    ['tinytales', { start: 3, end: 5 }],
    ['tinytales', { start: 7, end: 8 }],
    ['blocks32-bf16-sharded', { start: 8, end: 16 }],
    ['untied-bf16-sharded', { start: 4, end: 6 }],
    ['biases-f32', { start: 0, end: 2 }],
    ['mha-f16', { start: 1, end: 3 }],
  ])('%s %j: every tensor of the span, byte for byte', async (repo, span) => {
    const { sink, config, result } = await load(repo, span)
    const specs = spanTensors(config, span)
    expect([...sink.tensors.keys()].toSorted()).toEqual(specs.map((spec) => spec.name).toSorted())
    for (const spec of specs) {
      expect(sink.bytesOf(spec.name).equals(fromFiles(folders[repo] as string, spec.name)), spec.name).toBe(true)
    }
    expect(result).toMatchObject({ cachedBytes: 0, fetchedBytes: result.totalBytes, notFinite: [] })
  })

  test('a middle span costs its blocks, the headers of its shards, config and index, and nothing else', async () => {
    const span = { start: 8, end: 16 }
    const { config } = await load('blocks32-bf16-sharded', span)
    const tensorBytes = spanTensors(config, span).reduce((sum, spec) => sum + 2 * tensorElements(spec), 0)
    const folder = folders['blocks32-bf16-sharded'] as string
    const shards = [...new Set(hub.requests.filter((r) => r.origin === 'storage').map((r) => r.file as string))]
    const headerBytes = shards.reduce(
      (sum, shard) => sum + 8 + Number(readFileSync(join(folder, shard)).readBigUInt64LE(0)),
      0,
    )
    expect(hub.requests.filter((r) => r.origin === 'storage').reduce((sum, r) => sum + r.bytes, 0)).toBe(
      tensorBytes + headerBytes,
    )
    const small = hub.requests.filter((r) => r.origin === 'hub' && r.file !== null && !r.file.endsWith('.safetensors'))
    expect(new Set(small.map((r) => r.file))).toEqual(new Set(['config.json', 'model.safetensors.index.json']))
  })

  test('progress: download, verify, upload, each to its end', async () => {
    const { progress, result } = await load('tinytales', { start: 0, end: 8 })
    const phases = progress.map((report) => report.phase).filter((phase, i, all) => phase !== all[i - 1])
    expect(phases).toEqual(['download', 'verify', 'upload'])
    expect(progress.at(-1)).toMatchObject({
      phase: 'upload',
      doneBytes: result.totalBytes,
      totalBytes: result.totalBytes,
    })
  })

  test('a tensor longer than a chunk comes in several, in order', async () => {
    const rows = 70_000
    const config = {
      ...(await openWithConfig('tinytales')).config,
      numHiddenLayers: 1,
      hiddenSize: 64,
      vocabSize: rows,
    }
    const specs = spanTensors({ ...config, headDim: 16 }, { start: 0, end: 1 })
    const tensors = Object.fromEntries(
      specs.map((spec, i) => {
        const data = new Uint8Array(2 * tensorElements(spec)).map((_, at) => (at * 7 + i) & 0x3f)
        return [spec.name, { dtype: 'BF16', shape: spec.shape, data }]
      }),
    )
    cpSync(tinytales, scratch, { recursive: true })
    for (const shard of [1, 2]) rmSync(join(scratch, `model-0000${shard}-of-00002.safetensors`))
    rmSync(join(scratch, 'model.safetensors.index.json'))
    writeFileSync(join(scratch, 'model.safetensors'), buildSafetensors(tensors))
    hub.repo('scratch').moveBranch('main', scratch)
    const { source } = await openWithConfig('scratch')
    const sink = new MemorySink()
    hub.faults.push({ at: 'storage', fault: { kind: 'cut', afterBytes: 3_000_000 }, times: 4 })
    const options = { source, config: { ...config, headDim: 16 }, span: { start: 0, end: 1 }, sink, cache: null }
    await loadSpan({ ...options, onProgress: () => undefined })
    expect(sink.tensors.get('model.embed_tokens.weight')?.length).toBe(2)
    for (const [name, { data }] of Object.entries(tensors)) expect(sink.bytesOf(name).equals(data), name).toBe(true)
  })
})

describe('with a cache', () => {
  test('the second load fetches no weights, no header and no index', async () => {
    const folder = new FakeFolder()
    const first = await load('tinytales', { start: 2, end: 6 }, { cache: await newCache(folder) })
    hub.requests.length = 0
    const second = await load('tinytales', { start: 2, end: 6 }, { cache: await newCache(folder) })
    expect(weightRequests()).toEqual([])
    expect(hub.requests.map((request) => request.file).filter((file) => file?.includes('safetensors'))).toEqual([])
    expect(second.result).toMatchObject({ fetchedBytes: 0, cachedBytes: first.result.totalBytes })
    for (const name of first.sink.tensors.keys()) {
      expect(second.sink.bytesOf(name).equals(fromFiles(tinytales, name))).toBe(true)
    }
    expect(second.progress.map((report) => report.phase)).not.toContain('download')
  })

  test('a span that overlaps fetches only what is new', async () => {
    const folder = new FakeFolder()
    await load('tinytales', { start: 2, end: 4 }, { cache: await newCache(folder) })
    const { source, config } = await openWithConfig('tinytales')
    const plan = await prepareSpan({
      source,
      config,
      span: { start: 3, end: 5 },
      format: 'f32',
      cache: await newCache(folder),
    })
    expect(plan.cachedBytes).toBe(plan.totalBytes / 2)
    expect(plan.downloadBytes).toBe(plan.totalBytes / 2)
    const { result } = await load('tinytales', { start: 3, end: 5 }, { cache: await newCache(folder) })
    expect(result).toMatchObject({ fetchedBytes: plan.downloadBytes, cachedBytes: plan.cachedBytes })
  })

  test('counting other spans of one plan reads each header once, and then asks nobody', async () => {
    const { source, config } = await openWithConfig('blocks32-bf16-sharded')
    const counter = new SpanCounter({ source, config, cache: await newCache(new FakeFolder()) })
    const whole = await counter.count({ start: 0, end: config.numHiddenLayers }, 'f32')
    const asked = hub.requests.length
    const parts = await Promise.all([0, 1, 2, 3].map((i) => counter.count({ start: 8 * i, end: 8 * i + 8 }, 'f32')))
    expect(hub.requests).toHaveLength(asked)
    expect(parts.reduce((sum, part) => sum + part.totalBytes, 0)).toBeGreaterThanOrEqual(whole.totalBytes)
    const alone = await prepareSpan({ source, config, span: { start: 8, end: 16 }, format: 'f32', cache: null })
    expect(parts[1]).toEqual(alone)
  })

  test('a plan touches no weights', async () => {
    const { source, config } = await openWithConfig('tinytales')
    const span = { start: 0, end: 4 }
    const plan = await prepareSpan({ source, config, span, format: 'f32', cache: null })
    expect(plan).toMatchObject({ cachedBytes: 0, downloadBytes: plan.totalBytes, dtype: 'BF16' })
    const bytes = hub.requests.filter((r) => r.origin === 'storage').reduce((sum, r) => sum + r.bytes, 0)
    expect(bytes).toBeLessThan(20_000)
  })

  test('a download that failed half way goes on from there', async () => {
    const folder = new FakeFolder()
    const span = { start: 0, end: 8 }
    hub.faults.push({ at: 'storage', path: /00002-of/, fault: { kind: 'drop' } })
    const { source, config } = await openWithConfig('tinytales')
    const cache = await newCache(folder)
    // Headers are read first; only then does the second shard stop answering.
    hub.faults.length = 0
    const prepared = await prepareSpan({ source, config, span, format: 'f32', cache })
    hub.faults.push({ at: 'storage', path: /00002-of/, fault: { kind: 'drop' } })
    const sink = new MemorySink()
    const failed = await errorOf(() =>
      loadSpan({ source, config, span, sink, cache, prepared, onProgress: () => undefined }),
    )
    expect(failed.code).toBe('HUB_UNREACHABLE')
    hub.faults.length = 0
    const { result } = await load('tinytales', span, { cache: await newCache(folder) })
    expect(result.cachedBytes).toBeGreaterThan(result.totalBytes / 2)
    expect(result.fetchedBytes).toBeLessThan(result.totalBytes / 2)
  })

  test.each([
    ['a changed byte', (bytes: Uint8Array) => bytes.map((byte, i) => (i === 1000 ? byte ^ 1 : byte))],
    ['a short file', (bytes: Uint8Array) => bytes.subarray(0, 500)],
    ['an empty file', () => new Uint8Array(0)],
    ['something else', () => new Uint8Array(2000).fill(7)],
  ])('%s in a kept entry: only that entry is fetched again', async (_what, damage) => {
    const folder = new FakeFolder()
    const span = { start: 2, end: 4 }
    await load('tinytales', span, { cache: await newCache(folder) })
    const entries = [...(folder.folders.get('weights-v1')?.folders.values() ?? [])][0]?.files
    const [name, bytes] = [...(entries ?? [])].find(([key, value]) => key.includes('@') && value.length > 20_000) ?? []
    entries?.set(name as string, damage(bytes as Uint8Array))
    hub.requests.length = 0
    const { result, sink, progress } = await load('tinytales', span, { cache: await newCache(folder) })
    expect(result.fetchedBytes).toBe((bytes as Uint8Array).length - 40)
    for (const tensor of sink.tensors.keys())
      expect(sink.bytesOf(tensor).equals(fromFiles(tinytales, tensor))).toBe(true)
    expect(progress.at(-1)?.doneBytes).toBe(result.totalBytes)
    expect((await load('tinytales', span, { cache: await newCache(folder) })).result.fetchedBytes).toBe(0)
  })

  test('no room: said once, and loading goes on', async () => {
    const warnings: SwarmError[] = []
    const { result, sink } = await load(
      'tinytales',
      { start: 0, end: 8 },
      {
        cache: await newCache(new FakeFolder({ left: 1_000_000 }), warnings),
      },
    )
    expect(warnings.map((warning) => warning.code)).toEqual(['STORAGE_FULL'])
    expect(warnings[0]?.message).toMatch(/no storage left/)
    expect(result.fetchedBytes).toBe(result.totalBytes)
    expect(sink.bytesOf('model.norm.weight').equals(fromFiles(tinytales, 'model.norm.weight'))).toBe(true)
  })

  test('no such storage at all', async () => {
    const warnings: SwarmError[] = []
    const root = async (): Promise<never> => {
      throw new DOMException('not here', 'SecurityError')
    }
    expect(await openWeightCache({ root, onWarning: (warning) => warnings.push(warning) })).toBeNull()
    expect(warnings[0]?.message).toMatch(/cannot keep downloads \(not here\)/)
  })

  test('another commit is another model', async () => {
    const folder = new FakeFolder()
    await load('scratch', { start: 0, end: 1 }, { cache: await newCache(folder) })
    cpSync(tinytales, scratch, { recursive: true })
    writeFileSync(join(scratch, 'README.md'), 'changed')
    hub.repo('scratch').moveBranch('main', scratch)
    expect((await load('scratch', { start: 0, end: 1 }, { cache: await newCache(folder) })).result.cachedBytes).toBe(0)
  })

  test('forgetting', async () => {
    const folder = new FakeFolder()
    const cache = await newCache(folder)
    await load('tinytales', { start: 0, end: 1 }, { cache })
    await cache?.clear()
    expect((await load('tinytales', { start: 0, end: 1 }, { cache })).result.cachedBytes).toBe(0)
  })
})

describe('refused', () => {
  async function serve(change: (folder: string) => void): Promise<void> {
    cpSync(folders['mha-f16'] as string, scratch, { recursive: true })
    change(scratch)
    hub.repo('scratch').moveBranch('main', scratch)
  }

  test('a missing tensor, before a byte of weights is fetched', async () => {
    await serve((folder) => {
      const config = JSON.parse(readFileSync(join(folder, 'config.json'), 'utf8')) as object
      writeFileSync(join(folder, 'config.json'), JSON.stringify({ ...config, attention_bias: true }))
    })
    const error = await errorOf(() => load('scratch', { start: 0, end: 1 }))
    expect(error).toMatchObject({ code: 'BAD_SAFETENSORS', details: { rule: 10 } })
    expect(weightRequests()).toHaveLength(2)
  })

  test('a file that is shorter than its header says', async () => {
    await serve((folder) => {
      const file = join(folder, 'model.safetensors')
      writeFileSync(file, readFileSync(file).subarray(0, -2))
    })
    expect(await errorOf(() => load('scratch', { start: 0, end: 1 }))).toMatchObject({ details: { rule: 9 } })
  })

  test('no weights at all', async () => {
    await serve((folder) => rmSync(join(folder, 'model.safetensors')))
    expect((await errorOf(() => load('scratch', { start: 0, end: 1 }))).code).toBe('UNSUPPORTED_MODEL')
  })

  test('NaN in a norm is fatal, elsewhere counted and said', async () => {
    const poison = (folder: string, tensor: string): void => {
      const file = join(folder, 'model.safetensors')
      const bytes = readFileSync(file)
      const header = parseSafetensorsHeader(
        file,
        bytes.subarray(8, 8 + readHeaderLength(file, bytes, bytes.length)),
        bytes.length,
      )
      bytes.writeUInt16LE(0x7e00, header.tensors.get(tensor)?.begin)
      writeFileSync(file, bytes)
    }
    await serve((folder) => poison(folder, 'model.layers.0.mlp.up_proj.weight'))
    const warnings: string[] = []
    const { result } = await load('scratch', { start: 0, end: 1 }, { onWarning: (text) => warnings.push(text) })
    expect(result.notFinite).toEqual([{ tensor: 'model.layers.0.mlp.up_proj.weight', count: 1 }])
    expect(warnings).toHaveLength(1)
    await serve((folder) => poison(folder, 'model.layers.0.input_layernorm.weight'))
    expect(await errorOf(() => load('scratch', { start: 0, end: 1 }))).toMatchObject({ details: { rule: 14 } })
  })

  test('what the sink throws ends the download too', async () => {
    const sink = new MemorySink()
    sink.put = () => Promise.reject(new SwarmError('OUT_OF_MEMORY', 'no room on the GPU'))
    hub.faults.push({ at: 'storage', path: /00002-of/, fault: { kind: 'stall', afterBytes: 0 } })
    const { source, config } = await openWithConfig('tinytales')
    const span = { start: 0, end: 1 }
    expect(
      (await errorOf(() => loadSpan({ source, config, span, sink, cache: null, onProgress: () => undefined }))).code,
    ).toBe('OUT_OF_MEMORY')
  })

  test('cancelling', async () => {
    const aborter = new AbortController()
    const onProgress = (): void => aborter.abort()
    expect(
      (await errorOf(() => load('tinytales', { start: 0, end: 8 }, { onProgress, signal: aborter.signal }))).code,
    ).toBe('CANCELLED')
  })
})
