import { readdirSync, readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { parseLlamaConfig } from '../../../../swarm/model/parse-config.ts'
import { locateTensors, planRanges, shardsOf } from '../../../../swarm/model/plan-ranges.ts'
import { parseSafetensorsHeader, readHeaderLength } from '../../../../swarm/model/safetensors.ts'
import type { SafetensorsHeader } from '../../../../swarm/model/safetensors.ts'
import { INDEX_FILE, parseSafetensorsIndex } from '../../../../swarm/model/safetensors-index.ts'
import { spanTensors, tensorElements } from '../../../../swarm/model/tensors.ts'

const fixtures = new URL('../../../fixtures/models/', import.meta.url)
const tinytales = new URL('../../../../models/tinytales/', import.meta.url)
const folders = [
  ...readdirSync(fixtures)
    .filter((name) => name !== 'tinytales')
    .map((name): [string, URL] => [name, new URL(`${name}/`, fixtures)]),
  ['tinytales', tinytales] as [string, URL],
]

function readModel(folder: URL) {
  const config = parseLlamaConfig(JSON.parse(readFileSync(new URL('config.json', folder), 'utf8')))
  const files = readdirSync(folder)
  const index = files.includes(INDEX_FILE)
    ? parseSafetensorsIndex(readFileSync(new URL(INDEX_FILE, folder), 'utf8'))
    : null
  const headers = new Map<string, SafetensorsHeader>()
  const sizes = new Map<string, number>()
  for (const file of files.filter((name) => /^model.*\.safetensors$/.test(name))) {
    const bytes = readFileSync(new URL(file, folder))
    const length = readHeaderLength(file, bytes.subarray(0, 8), bytes.length)
    headers.set(file, parseSafetensorsHeader(file, bytes.subarray(8, 8 + length), bytes.length))
    sizes.set(file, bytes.length)
  }
  return { config, index, headers, sizes }
}

test.each(folders)('%s: the whole span is exactly what its files hold', (_name, folder) => {
  const { config, index, headers, sizes } = readModel(folder)
  const specs = spanTensors(config, { start: 0, end: config.numHiddenLayers })
  const inFiles = [...headers.values()].flatMap((header) => [...header.tensors.keys()])
  expect(specs.map((spec) => spec.name).toSorted()).toEqual(inFiles.toSorted())
  const ranges = planRanges(locateTensors(specs, headers, index))
  // Everything is wanted, so each file is one range from its data's beginning to its end.
  expect(ranges.map((range) => [range.file, range.begin, range.end])).toEqual(
    [...headers.keys()]
      .toSorted((a, b) => (a < b ? -1 : 1))
      .map((file) => [file, headers.get(file)?.dataOffset, sizes.get(file)]),
  )
  for (const { spec, dtype, begin, end } of ranges.flatMap((range) => range.tensors)) {
    expect(end - begin).toBe(tensorElements(spec) * (dtype === 'F32' ? 4 : 2))
  }
})

test('block 0 brings the embedding table, the last block norm and head, a middle span neither', () => {
  const { config } = readModel(new URL('untied-bf16-sharded/', fixtures))
  const ends = (start: number, end: number): (number | string)[] => [
    ...new Set(spanTensors(config, { start, end }).map((spec) => spec.block)),
  ]
  expect(ends(0, 2)).toEqual(['embed', 0, 1])
  expect(ends(2, 4)).toEqual([2, 3])
  expect(ends(4, 6)).toEqual([4, 5, 'norm', 'head'])
})

test('a tied head reads the embedding table, which is listed once', () => {
  const { config } = readModel(tinytales)
  expect([...new Set(spanTensors(config, { start: 6, end: 8 }).map((spec) => spec.block))]).toEqual([
    'embed',
    6,
    7,
    'norm',
  ])
  const whole = spanTensors(config, { start: 0, end: 8 }).filter((spec) => spec.block === 'embed')
  expect(whole).toHaveLength(1)
})

test('biases where the config has them', () => {
  const { config } = readModel(new URL('biases-f32/', fixtures))
  const names = spanTensors(config, { start: 1, end: 2 }).filter((spec) => spec.name.endsWith('.bias'))
  expect(names.map((spec) => spec.name.replace('model.layers.1.', ''))).toEqual([
    'self_attn.q_proj.bias',
    'self_attn.k_proj.bias',
    'self_attn.v_proj.bias',
    'self_attn.o_proj.bias',
    'mlp.gate_proj.bias',
    'mlp.up_proj.bias',
    'mlp.down_proj.bias',
  ])
})

test('a middle span touches only the shards that hold it', () => {
  const { config, index, headers } = readModel(new URL('blocks32-bf16-sharded/', fixtures))
  const specs = spanTensors(config, { start: 8, end: 10 })
  const shards = shardsOf(specs, index)
  expect(shards.length).toBeLessThan(headers.size)
  const located = locateTensors(specs, new Map(shards.map((shard) => [shard, headers.get(shard)!])), index)
  expect(located).toHaveLength(specs.length)
  const merged = planRanges(located)
  const bytes = (ranges: { begin: number; end: number }[]): number =>
    ranges.reduce((sum, range) => sum + range.end - range.begin, 0)
  expect(bytes(merged)).toBe(bytes(located))
  expect(merged.length).toBeLessThan(located.length)
})
