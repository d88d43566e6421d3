import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { SwarmError } from '../../../../swarm/errors.ts'
import { locateTensors, shardsOf } from '../../../../swarm/model/plan-ranges.ts'
import { parseSafetensorsHeader, readHeaderLength } from '../../../../swarm/model/safetensors.ts'
import type { SafetensorsHeader } from '../../../../swarm/model/safetensors.ts'
import { parseSafetensorsIndex } from '../../../../swarm/model/safetensors-index.ts'
import type { TensorSpec } from '../../../../swarm/model/tensors.ts'
import { buildSafetensors, concat, withHeader } from '../../../support/safetensors-builder.ts'

const f32 = (count: number): Uint8Array => new Uint8Array(4 * count)

function parse(bytes: Uint8Array): SafetensorsHeader {
  const length = readHeaderLength('model.safetensors', bytes.subarray(0, 8), bytes.length)
  return parseSafetensorsHeader('model.safetensors', bytes.subarray(8, 8 + length), bytes.length)
}

function outcome(action: () => unknown): { code: string; rule: unknown; message: string } {
  try {
    action()
  } catch (error) {
    if (error instanceof SwarmError) return { code: error.code, rule: error.details.rule, message: error.message }
    throw error
  }
  return { code: 'none', rule: 0, message: '' }
}

const lengthField = (n: bigint): Uint8Array => {
  const bytes = new Uint8Array(8)
  new DataView(bytes.buffer).setBigUint64(0, n, true)
  return bytes
}
const entry = (fields: string): string => `{"a":{${fields}}}`

test('a right file is read: offsets are bytes of the file', () => {
  const bytes = buildSafetensors(
    { a: { dtype: 'F32', shape: [2, 3], data: f32(6) }, b: { dtype: 'BF16', shape: [5], data: new Uint8Array(10) } },
    { format: 'pt' },
  )
  const header = parse(bytes)
  expect(header.dataOffset).toBe(bytes.length - 34)
  expect(header.tensors.get('a')).toMatchObject({
    shape: [2, 3],
    begin: header.dataOffset,
    end: header.dataOffset + 24,
  })
  expect(header.tensors.get('b')).toMatchObject({ dtype: 'BF16', begin: header.dataOffset + 24, end: bytes.length })
  expect(header.metadata.get('format')).toBe('pt')
})

test('empty tensors, scalars, other dtypes and keys like __proto__ are only counted (rules 9 and 15)', () => {
  const bytes = buildSafetensors({
    empty: { dtype: 'F32', shape: [0, 7], data: f32(0) },
    scalar: { dtype: 'I64', shape: [], data: new Uint8Array(8) },
    ['__proto__x']: { dtype: 'U8', shape: [3], data: new Uint8Array(3) },
  })
  expect(parse(bytes).tensors.size).toBe(3)
  const proto = withHeader('{"__proto__":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}', new Uint8Array(1))
  expect(parse(proto).tensors.get('__proto__')?.dtype).toBe('U8')
})

describe('malformed files are refused with the number of the rule', () => {
  const right = '"dtype":"F32","shape":[1],"data_offsets":[0,4]'
  const table: [string, number, Uint8Array][] = [
    ['empty file', 1, new Uint8Array(0)],
    ['seven bytes', 1, new Uint8Array(7)],
    ['header of length 0', 2, lengthField(0n)],
    ['header of length 1', 2, concat([lengthField(1n), new Uint8Array(9)])],
    ['header longer than the file', 2, concat([lengthField(100n), new Uint8Array(50)])],
    ['header beyond 2^53', 2, concat([lengthField(2n ** 63n + 2n), new Uint8Array(50)])],
    ['header of all ones', 2, concat([lengthField(2n ** 64n - 1n), new Uint8Array(50)])],
    ['header over the limit', 2, concat([lengthField(25_000_001n), new Uint8Array(50)])],
    ['does not begin with {', 3, withHeader(' {}')],
    ['a list', 3, withHeader('[]')],
    ['padded with zeros', 3, withHeader('{}\0\0\0\0\0\0')],
    ['padded with tabs', 3, withHeader('{}\t\t\t\t\t\t')],
    ['not UTF-8', 4, withHeader(new Uint8Array([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]))],
    ['overlong UTF-8', 4, withHeader(new Uint8Array([0x7b, 0x22, 0xc0, 0xaf, 0x22, 0x3a, 0x31, 0x7d]))],
    ['not JSON', 4, withHeader('{"a":}')],
    ['two documents', 4, withHeader('{}{}')],
    ['duplicate tensor', 4, withHeader(`{"a":{${right}},"a":{${right}}}`, f32(1))],
    ['duplicate tensor, one key escaped', 4, withHeader(`{"a":{${right}},"\\u0061":{${right}}}`, f32(1))],
    ['duplicate field', 4, withHeader(entry(`${right},"dtype":"F16"`), f32(1))],
    ['too deep', 4, withHeader('{"a":{"shape":[[[[1]]]]}}')],
    ['very deep', 4, withHeader(`{"a":${'['.repeat(100_000)}${']'.repeat(100_000)}}`)],
    ['tensor is a number', 4, withHeader('{"a":1}')],
    ['metadata is a list', 5, withHeader('{"__metadata__":[]}')],
    ['metadata holds a number', 5, withHeader('{"__metadata__":{"a":1}}')],
    ['metadata too long', 5, withHeader(`{"__metadata__":{"a":"${'x'.repeat(65_536)}"}}`)],
    ['unknown dtype', 6, withHeader(entry('"dtype":"F31","shape":[1],"data_offsets":[0,4]'), f32(1))],
    ['dtype is a number', 6, withHeader(entry('"dtype":32,"shape":[1],"data_offsets":[0,4]'), f32(1))],
    ['no dtype', 6, withHeader(entry('"shape":[1],"data_offsets":[0,4]'), f32(1))],
    ['no shape', 7, withHeader(entry('"dtype":"F32","data_offsets":[0,4]'), f32(1))],
    ['negative size', 7, withHeader(entry('"dtype":"F32","shape":[-1],"data_offsets":[0,4]'), f32(1))],
    ['fraction in shape', 4, withHeader(entry('"dtype":"F32","shape":[1.5],"data_offsets":[0,4]'), f32(1))],
    ['exponent in shape', 4, withHeader(entry('"dtype":"F32","shape":[1e0],"data_offsets":[0,4]'), f32(1))],
    ['beyond 2^53 in shape', 4, withHeader(entry('"dtype":"F32","shape":[9007199254740993],"data_offsets":[0,4]'))],
    ['product overflows', 7, withHeader(entry('"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,4]'))],
    [
      'product overflows to zero',
      7,
      withHeader(entry('"dtype":"F32","shape":[4503599627370496,4096,0],"data_offsets":[0,0]')),
    ],
    ['nine dimensions', 7, withHeader(entry('"dtype":"F32","shape":[1,1,1,1,1,1,1,1,1],"data_offsets":[0,4]'), f32(1))],
    ['text in shape', 7, withHeader(entry('"dtype":"F32","shape":["1"],"data_offsets":[0,4]'), f32(1))],
    ['no offsets', 8, withHeader(entry('"dtype":"F32","shape":[1]'), f32(1))],
    ['three offsets', 8, withHeader(entry('"dtype":"F32","shape":[1],"data_offsets":[0,4,8]'), f32(1))],
    ['backward offsets', 8, withHeader(entry('"dtype":"F32","shape":[1],"data_offsets":[4,0]'), f32(1))],
    ['negative offset', 8, withHeader(entry('"dtype":"F32","shape":[1],"data_offsets":[-4,0]'), f32(1))],
    ['fewer bytes than the shape', 8, withHeader(entry('"dtype":"F32","shape":[2],"data_offsets":[0,4]'), f32(1))],
    ['a hole at the beginning', 9, withHeader(entry('"dtype":"F32","shape":[1],"data_offsets":[4,8]'), f32(2))],
    ['bytes after the last tensor', 9, withHeader(`{"a":{${right}}}`, f32(2))],
    ['fewer bytes than the last tensor', 9, withHeader(`{"a":{${right}}}`, new Uint8Array(3))],
    [
      'overlap',
      9,
      withHeader(`{"a":{${right}},"b":{"dtype":"F32","shape":[1],"data_offsets":[2,6]}}`, new Uint8Array(6)),
    ],
    ['the same bytes twice', 9, withHeader(`{"a":{${right}},"b":{${right}}}`, f32(1))],
    ['a hole between', 9, withHeader(`{"a":{${right}},"b":{"dtype":"F32","shape":[1],"data_offsets":[8,12]}}`, f32(3))],
  ]
  test.each(table)('%s (rule %i)', (_what, rule, bytes) => {
    const got = outcome(() => parse(bytes))
    expect(got).toMatchObject({ code: 'BAD_SAFETENSORS', rule })
    expect(got.message).toContain(`(rule ${rule})`)
    expect(got.message.length).toBeLessThan(500)
  })
})

describe('against the config, before anything is fetched', () => {
  const spec: TensorSpec = { name: 'w', shape: [2, 3], block: 0, kind: 'matrix' }
  const headers = (name: string, dtype: string, shape: number[], data: Uint8Array) =>
    new Map([['model.safetensors', parse(buildSafetensors({ [name]: { dtype, shape, data } }))]])

  test.each([
    ['missing name', 'v', 'F32', [2, 3], f32(6), 'BAD_SAFETENSORS', 10],
    ['other shape', 'w', 'F32', [3, 2], f32(6), 'BAD_SAFETENSORS', 11],
    ['other rank', 'w', 'F32', [6], f32(6), 'BAD_SAFETENSORS', 11],
    ['empty', 'w', 'F32', [2, 0], f32(0), 'BAD_SAFETENSORS', 15],
    ['a scalar', 'w', 'F32', [], f32(1), 'BAD_SAFETENSORS', 15],
    ['integers', 'w', 'I32', [2, 3], f32(6), 'UNSUPPORTED_MODEL', 6],
    ['eight-bit floats', 'w', 'F8_E4M3', [2, 3], new Uint8Array(6), 'UNSUPPORTED_MODEL', 6],
  ])('%s', (_what, name, dtype, shape, data, code, rule) => {
    expect(outcome(() => locateTensors([spec], headers(name, dtype, shape, data), null))).toMatchObject({ code, rule })
  })

  test('an index that does not name the tensor is fatal before any header is read', () => {
    expect(outcome(() => shardsOf([spec], new Map([['v', 'a.safetensors']])))).toMatchObject({ rule: 10 })
  })
})

describe('index files (rule 12)', () => {
  const index = (map: unknown): string => JSON.stringify({ metadata: { total_size: 1.5e9 }, weight_map: map })

  test('a right one', () => {
    const shards = parseSafetensorsIndex(index({ a: 'model-00001-of-00002.safetensors', b: 'x.safetensors' }))
    expect([...shards]).toEqual([
      ['a', 'model-00001-of-00002.safetensors'],
      ['b', 'x.safetensors'],
    ])
  })

  test.each([
    ['not JSON', '{'],
    ['a list', '[]'],
    ['no weight_map', '{}'],
    ['weight_map is a list', '{"weight_map":[]}'],
    ['a number for a shard', index({ a: 1 })],
    ['a path', index({ a: 'dir/x.safetensors' })],
    ['a way up', index({ a: '../x.safetensors' })],
    ['dots', index({ a: 'x..safetensors' })],
    ['a scheme', index({ a: 'https://example.org/x.safetensors' })],
    ['a query', index({ a: 'x.safetensors?y=.safetensors' })],
    ['an escape', index({ a: '%2e%2e%2fx.safetensors' })],
    ['a backslash', index({ a: '..\\x.safetensors' })],
    ['another type', index({ a: 'pytorch_model.bin' })],
    ['hidden', index({ a: '.safetensors' })],
    ['duplicate tensor', '{"weight_map":{"a":"x.safetensors","a":"y.safetensors"}}'],
    [
      'too many shards',
      index(Object.fromEntries(Array.from({ length: 10_001 }, (_, i) => [`t${i}`, `s${i}.safetensors`]))),
    ],
  ])('%s', (_what, text) => {
    expect(outcome(() => parseSafetensorsIndex(text))).toMatchObject({ code: 'BAD_SAFETENSORS', rule: 12 })
  })
})

describe('fuzz: a header or a SwarmError, nothing else', () => {
  const seed = buildSafetensors({
    a: { dtype: 'F32', shape: [2], data: f32(2) },
    b: { dtype: 'F16', shape: [1, 3], data: new Uint8Array(6) },
  })

  test('any bytes', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => void outcome(() => parse(bytes))))
  })

  test('a right file with bytes changed, cut or put in', () => {
    const edit = fc.record({ at: fc.nat(seed.length), remove: fc.nat(4), insert: fc.uint8Array({ maxLength: 4 }) })
    fc.assert(
      fc.property(fc.array(edit, { minLength: 1, maxLength: 4 }), (edits) => {
        let bytes = seed
        for (const { at, remove, insert } of edits) {
          bytes = concat([bytes.subarray(0, at), insert, bytes.subarray(at + remove)])
        }
        const got = outcome(() => parse(bytes))
        expect(['none', 'BAD_SAFETENSORS']).toContain(got.code)
      }),
      { numRuns: 1000 },
    )
  })

  test('whatever is accepted lies inside the file, without holes', () => {
    const tensor = fc.record({ begin: fc.nat(40), end: fc.nat(40), shape: fc.array(fc.nat(5), { maxLength: 3 }) })
    fc.assert(
      fc.property(fc.array(tensor, { maxLength: 3 }), fc.nat(40), (tensors, dataBytes) => {
        const header = Object.fromEntries(
          tensors.map(({ begin, end, shape }, i) => [`t${i}`, { dtype: 'F16', shape, data_offsets: [begin, end] }]),
        )
        const bytes = withHeader(JSON.stringify(header), new Uint8Array(dataBytes))
        let parsed: SafetensorsHeader | undefined
        outcome(() => (parsed = parse(bytes)))
        if (parsed === undefined) return
        const total = [...parsed.tensors.values()].reduce((sum, { begin, end }) => sum + end - begin, 0)
        expect(total).toBe(dataBytes)
      }),
      { numRuns: 1000 },
    )
  })

  test('index text', () => {
    fc.assert(fc.property(fc.oneof(fc.string(), fc.json()), (text) => void outcome(() => parseSafetensorsIndex(text))))
  })
})
