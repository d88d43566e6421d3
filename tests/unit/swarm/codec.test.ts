import fc from 'fast-check'
import { expect, test } from 'vitest'
import {
  assertFinite,
  decodeFrame,
  DTYPES,
  emptyFrame,
  encodeFrame,
  failureFrame,
  FLAG_ALL_ROWS,
  FLAG_WANTS_LOGITS,
  FRAME_HEADER_BYTES,
  FRAME_TYPES,
  type Frame,
  hiddenPayload,
  jsonFrame,
  logitsPayload,
  logitsRowsPayload,
  readHidden,
  readJson,
  readLogits,
  readTokens,
  tokensPayload,
} from '../../../swarm/codec.ts'
import { SwarmError } from '../../../swarm/errors.ts'
import {
  MAX_FRAME_BYTES,
  MAX_JSON_FRAME_BYTES,
  MAX_LOGITS_ROWS,
  MAX_STEP_ROWS,
  MAX_TOP_K,
} from '../../../swarm/limits.ts'

const SESSION = '000102030405060708090a0b0c0d0e0f'

function stepFrame(rows: number, columns: number): Frame {
  const hidden = Float32Array.from({ length: rows * columns }, (_, i) => i / 7 - 3)
  return {
    ...emptyFrame('step', SESSION, 2),
    step: 5,
    position: 40,
    rows,
    columns,
    dtype: 'f32',
    payload: hiddenPayload(hidden),
  }
}

function codeOf(run: () => unknown): string {
  try {
    run()
  } catch (error) {
    return error instanceof SwarmError ? error.code : `not a SwarmError: ${String(error)}`
  }
  return 'nothing thrown'
}

test('the bytes of docs/protocol.md', () => {
  const frame: Frame = {
    ...emptyFrame('step', SESSION, 1),
    flags: 0x8100,
    step: 3,
    position: 7,
    rows: 2,
    columns: 1,
    dtype: 'u32',
    payload: tokensPayload(Uint32Array.of(17, 2047)),
  }
  expect(Buffer.from(encodeFrame(frame)).toString('hex')).toBe(
    '01050081' +
      SESSION +
      '01000000' +
      '03000000' +
      '07000000' +
      '02000000' +
      '01000000' +
      '01000000' +
      '11000000' +
      'ff070000',
  )
})

test('hidden states survive the way, bit for bit', () => {
  fc.assert(
    fc.property(
      fc.array(fc.float({ noNaN: true, noDefaultInfinity: true }), { minLength: 1, maxLength: 64 }),
      (values) => {
        const hidden = Float32Array.from(values)
        const frame: Frame = {
          ...emptyFrame('step', SESSION, 0),
          rows: 1,
          columns: hidden.length,
          dtype: 'f32',
          payload: hiddenPayload(hidden),
        }
        // An odd offset: frames arrive anywhere inside a larger buffer.
        const bytes = encodeFrame(frame)
        const shifted = new Uint8Array(bytes.length + 3)
        shifted.set(bytes, 3)
        expect(readHidden(decodeFrame(shifted.subarray(3)))).toEqual(hidden)
      },
    ),
  )
})

test('token ids survive the way', () => {
  const tokens = Uint32Array.of(0, 1, 511_999)
  const frame: Frame = {
    ...emptyFrame('step', SESSION, 0),
    rows: 3,
    columns: 1,
    dtype: 'u32',
    payload: tokensPayload(tokens),
  }
  expect(readTokens(decodeFrame(encodeFrame(frame)))).toEqual(tokens)
})

test('logits survive the way', () => {
  const row = { ids: Uint32Array.of(9, 3), values: Float32Array.of(2.5, -1), logSumExp: 2.53, vocabSize: 10 }
  const frame: Frame = {
    ...emptyFrame('logits', SESSION, 0),
    rows: 1,
    columns: 2,
    dtype: 'logits',
    payload: logitsPayload(row),
  }
  expect(readLogits(decodeFrame(encodeFrame(frame)))).toEqual([row])
})

test('logits of several rows survive the way; one too many, or fewer than said, do not', () => {
  const rows = Array.from({ length: MAX_LOGITS_ROWS }, (_, i) => ({
    ids: Uint32Array.of(9, i),
    values: Float32Array.of(2.5, -i),
    logSumExp: 2.53,
    vocabSize: 20,
  }))
  const frameOf = (count: number, sent = rows): Frame => ({
    ...emptyFrame('logits', SESSION, 0),
    flags: FLAG_ALL_ROWS,
    rows: count,
    columns: 2,
    dtype: 'logits',
    payload: logitsRowsPayload(sent),
  })
  expect(readLogits(decodeFrame(encodeFrame(frameOf(MAX_LOGITS_ROWS))))).toEqual(rows)
  const wrong = [
    frameOf(MAX_LOGITS_ROWS - 1),
    frameOf(0, []),
    frameOf(MAX_LOGITS_ROWS + 1, [...rows, rows[0]!]),
    { ...frameOf(MAX_LOGITS_ROWS), flags: 0 },
  ]
  for (const frame of wrong) expect(codeOf(() => decodeFrame(encodeFrame(frame)))).toBe('BAD_FRAME')
})

test.each([
  ['the most rows and the most logits', MAX_LOGITS_ROWS, MAX_TOP_K, null],
  ['a row too many', MAX_LOGITS_ROWS + 1, 1, 'BAD_FRAME'],
  ['whole rows', 2, 0, 'BAD_FRAME'],
  ['too many logits of each', 2, MAX_TOP_K + 1, 'BAD_FRAME'],
])('a step that asks for the logits of all rows: %s', (_, rows, topK, code) => {
  const frame = { ...stepFrame(rows, 2), flags: FLAG_WANTS_LOGITS | FLAG_ALL_ROWS | topK }
  const decode = (): Frame => decodeFrame(encodeFrame(frame))
  if (code === null) expect(decode().rows).toBe(rows)
  else expect(codeOf(decode)).toBe(code)
})

test.each([
  [
    'a token id outside the vocabulary',
    { ids: Uint32Array.of(10), values: Float32Array.of(1), logSumExp: 1, vocabSize: 10 },
    'BAD_FRAME',
  ],
  [
    'a NaN logit',
    { ids: Uint32Array.of(1), values: Float32Array.of(Number.NaN), logSumExp: 1, vocabSize: 10 },
    'NOT_FINITE',
  ],
  [
    'an infinite sum',
    { ids: Uint32Array.of(1), values: Float32Array.of(1), logSumExp: Number.POSITIVE_INFINITY, vocabSize: 10 },
    'NOT_FINITE',
  ],
  [
    'more logits than the vocabulary',
    { ids: Uint32Array.of(0, 1), values: Float32Array.of(1, 1), logSumExp: 1, vocabSize: 1 },
    'BAD_FRAME',
  ],
])('logits with %s are refused', (_, row, code) => {
  const frame: Frame = {
    ...emptyFrame('logits', SESSION, 0),
    rows: 1,
    columns: row.ids.length,
    dtype: 'logits',
    payload: logitsPayload(row),
  }
  expect(codeOf(() => readLogits(decodeFrame(encodeFrame(frame))))).toBe(code)
})

test('a step at the row limit passes, one beyond is refused', () => {
  expect(decodeFrame(encodeFrame(stepFrame(MAX_STEP_ROWS, 2))).rows).toBe(MAX_STEP_ROWS)
  expect(codeOf(() => decodeFrame(encodeFrame(stepFrame(MAX_STEP_ROWS + 1, 2))))).toBe('BAD_FRAME')
})

test.each([
  ['shorter than it says', (bytes: Uint8Array) => bytes.subarray(0, bytes.length - 4)],
  ['longer than it says', (bytes: Uint8Array) => Uint8Array.from([...bytes, 0])],
  ['of fewer bytes than a header', (bytes: Uint8Array) => bytes.subarray(0, FRAME_HEADER_BYTES - 1)],
  ['of an unknown type', (bytes: Uint8Array) => bytes.with(1, 99)],
  ['of an unknown dtype', (bytes: Uint8Array) => bytes.with(40, 99)],
  ['with data in a frame type that has none', (bytes: Uint8Array) => bytes.with(1, FRAME_TYPES.close)],
  ['with no data in a step', (bytes: Uint8Array) => bytes.with(40, DTYPES.none)],
  ['with no rows', (bytes: Uint8Array) => bytes.with(32, 0)],
])('a frame %s is refused', (_, mangle) => {
  expect(codeOf(() => decodeFrame(mangle(encodeFrame(stepFrame(2, 3)))))).toBe('BAD_FRAME')
})

test('another frame version is refused as such', () => {
  expect(codeOf(() => decodeFrame(encodeFrame(stepFrame(1, 1)).with(0, 2)))).toBe('WRONG_VERSION')
})

test('a frame beyond the limit is refused before it is read', () => {
  expect(codeOf(() => decodeFrame(new Uint8Array(MAX_FRAME_BYTES + 1)))).toBe('BAD_FRAME')
})

test('a message beyond the limit is refused, one at the limit is read', () => {
  const message = (length: number) => jsonFrame('open', SESSION, 0, { a: 'x'.repeat(length - '{"a":""}'.length) })
  expect(readJson(decodeFrame(encodeFrame(message(MAX_JSON_FRAME_BYTES))))).toHaveProperty('a')
  expect(codeOf(() => decodeFrame(encodeFrame(message(MAX_JSON_FRAME_BYTES + 1))))).toBe('BAD_FRAME')
})

test('unknown keys of a message are kept for who knows them', () => {
  const decoded = decodeFrame(encodeFrame(jsonFrame('opened', SESSION, 0, { version: '1.0', later: [1] })))
  expect(readJson(decoded)).toEqual({ version: '1.0', later: [1] })
})

test('a failure carries its status', () => {
  const frame = decodeFrame(
    encodeFrame(failureFrame(SESSION, 0, { code: 'CACHE_FULL', message: 'm', retryable: true })),
  )
  expect(readJson(frame)).toMatchObject({ code: 'CACHE_FULL', status: 202 })
})

test('any bytes decode or are refused, nothing else', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), fc.boolean(), (bytes, valid) => {
      if (valid && bytes.length > 0) bytes[0] = 1
      expect(['nothing thrown', 'BAD_FRAME', 'WRONG_VERSION']).toContain(codeOf(() => decodeFrame(bytes)))
    }),
    { numRuns: 2000 },
  )
})

test('values that are not finite are found wherever they stand', () => {
  expect(codeOf(() => assertFinite(Float32Array.of(1, 2, Number.NaN)))).toBe('NOT_FINITE')
  expect(codeOf(() => assertFinite(Float32Array.of(Number.NEGATIVE_INFINITY)))).toBe('NOT_FINITE')
  expect(codeOf(() => assertFinite(Float32Array.of(0, -0, 3e38)))).toBe('nothing thrown')
})
