/** Holds `docs/protocol.md` and `docs/limits.md` against the code: whoever writes another client works from them. */
import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { privateKeyFromSeed, signWith, verifySignature } from '../../../net/record-crypto.ts'
import { relayOptions } from '../../../relay/options.ts'
import {
  decodeFrame,
  DTYPES,
  encodeFrame,
  FRAME_HEADER_BYTES,
  FRAME_TYPES,
  readLogits,
  readTokens,
} from '../../../swarm/codec.ts'
import { openRecord, signRecord } from '../../../swarm/peer-record.ts'
import * as protocol from '../../../swarm/protocol.ts'

const PAGE = readFileSync('docs/protocol.md', 'utf8')
/** Fenced blocks, in the order of the page. */
const [STEP = '', LOGITS = '', RECORD = ''] = [...PAGE.matchAll(/```\n([^`]*)```/gu)].map(([, text]) => text)

function bytesOf(hex: string): Uint8Array {
  return Uint8Array.from(Buffer.from(hex.replaceAll(/\s/gu, ''), 'hex'))
}

test('protocol ids: the table is the code’s, and all are ours', () => {
  const listed = [...PAGE.matchAll(/^\| `(\/[^`]+)` /gmu)].map(([, id]) => id)
  const spoken = Object.entries(protocol).flatMap(([name, id]) => (name.endsWith('_PROTOCOL') ? [id] : []))
  expect(new Set(listed)).toEqual(new Set(spoken))
  for (const id of listed) expect(id).toMatch(/^\/tabswarm\/[a-z]+\/\d+\.\d+\.\d+$/u)
  expect(PAGE).toContain(`version ${protocol.PROTOCOL_VERSION}`)
})

test('frame types, dtypes and statuses', () => {
  const types = [...PAGE.matchAll(/^\| ([\d, ]+?) +\| ([a-zA-Z, ]+?) +\| /gmu)].flatMap(
    ([, numbers = '', names = '']) => names.split(', ').map((name, i) => [name, Number(numbers.split(', ')[i])]),
  )
  expect(Object.fromEntries(types.filter(([name]) => String(name) in FRAME_TYPES))).toEqual(FRAME_TYPES)
  const dtypes = /dtype: (.*?) *\|/u.exec(PAGE)?.[1] ?? ''
  const named = dtypes.split(', ').map((pair) => pair.toLowerCase().split(' '))
  expect(Object.fromEntries(named.map(([id, name]) => [name, Number(id)]))).toEqual(DTYPES)
  expect(PAGE).toContain(`A fixed header of ${FRAME_HEADER_BYTES} bytes`)
  for (const status of Object.values(protocol.STATUS_OF_CODE)) expect(PAGE).toMatch(new RegExp(`\\b${status}\\b`, 'u'))
})

test('the step is what it says, and these bytes', () => {
  const bytes = bytesOf(STEP)
  const frame = decodeFrame(bytes)
  expect(frame).toMatchObject({
    type: 'step',
    flags: 0x8100,
    session: '000102030405060708090a0b0c0d0e0f',
    epoch: 1,
    step: 3,
    position: 7,
    rows: 2,
    columns: 1,
  })
  expect([...readTokens(frame)]).toEqual([17, 2047])
  expect(encodeFrame(frame)).toEqual(bytes)
})

test('the logits are what they say, and these bytes', () => {
  const bytes = bytesOf(LOGITS)
  const frame = decodeFrame(bytes)
  expect(frame).toMatchObject({ type: 'logits', epoch: 1, step: 3, position: 7, rows: 2, columns: 2 })
  const { ids, values, logSumExp, vocabSize } = readLogits(frame)[0]!
  expect([[...ids], [...values], logSumExp, vocabSize]).toEqual([[9, 3], [2.5, -1], 2.625, 2048])
  expect(encodeFrame(frame)).toEqual(bytes)
})

test('the record is signed by its key, and signing it again gives these bytes', async () => {
  const [length = '', json = '', signature = ''] = RECORD.trim().split('\n')
  const bytes = Uint8Array.from([...bytesOf(length), ...new TextEncoder().encode(json), ...bytesOf(signature)])
  const { record } = await openRecord(bytes, verifySignature)
  const key = await privateKeyFromSeed(new Uint8Array(32).fill(1))
  expect(Buffer.from((await signRecord(record, signWith(key))).bytes).toString('hex')).toBe(
    Buffer.from(bytes).toString('hex'),
  )
  const keys = new Set(Object.keys(JSON.parse(json) as object))
  for (const name of keys) expect(PAGE).toContain(`\`${name}\``)
})

test('every limit of the relay is on the page of limits, under its flag', () => {
  const limits = readFileSync('docs/limits.md', 'utf8')
  const names = Object.entries(relayOptions).flatMap(([name, option]) => (option.group === 'Limits' ? [name] : []))
  expect(names.length).toBeGreaterThan(10)
  for (const name of names) {
    const flag = `--${name.replaceAll(/[A-Z]/gu, (letter) => `-${letter.toLowerCase()}`)}`
    expect(limits).toContain(`\`${flag}\``)
  }
})
