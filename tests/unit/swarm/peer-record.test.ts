import fc from 'fast-check'
import { expect, test } from 'vitest'
import { SwarmError } from '../../../swarm/errors.ts'
import {
  MAX_CACHED_SPANS,
  MAX_CLOCK_SKEW_MS,
  MAX_PROMISE_MS,
  MAX_PROMISES,
  MAX_RECORD_BYTES,
  MAX_RECORD_TTL_MS,
  MAX_ROUND_TRIP_MS,
  MAX_ROUND_TRIPS,
  ROUND_TRIP_NAME_CHARS,
} from '../../../swarm/limits.ts'
import {
  isFresh,
  isNewer,
  openRecord,
  type PeerRecord,
  roundTripName,
  SIGNATURE_PREFIX,
  signRecord,
  toldRoundTrip,
  type Verify,
} from '../../../swarm/peer-record.ts'

const NOW = 1_800_000_000_000

const record: PeerRecord = {
  v: 1,
  peerId: '12D3KooWpeer',
  seq: NOW,
  issuedAt: NOW,
  ttlMs: MAX_RECORD_TTL_MS,
  model: { repo: 'tinytales', revision: 'a'.repeat(40), digest: 'b'.repeat(32), blocks: 8 },
  state: 'online',
  span: { start: 0, end: 2 },
  claimedAt: NOW,
  maxBlocks: 2,
  blockStepsPerSecond: 120.5,
  cacheTokensLeft: 4096,
  sessions: 0,
  weights: 'f32',
  backend: 'webgpu',
  relays: ['/ip4/127.0.0.1/tcp/8080/ws/p2p/12D3KooWrelay'],
}

/** A stand-in for Ed25519: the signature is a checksum of the bytes under the peer's name. */
async function checksum(peerId: string, bytes: Uint8Array): Promise<Uint8Array> {
  const signature = new Uint8Array(64)
  const all = [...new TextEncoder().encode(peerId), ...bytes]
  all.forEach((byte, i) => (signature[i % 64] = ((signature[i % 64] ?? 0) * 31 + byte) & 255))
  return signature
}
const verify: Verify = async (peerId, bytes, signature) => {
  const expected = await checksum(peerId, bytes)
  return expected.every((byte, i) => byte === signature[i])
}
const signed = (r: PeerRecord) => signRecord(r, (bytes) => checksum(r.peerId, bytes))

async function refusal(bytes: Uint8Array): Promise<string> {
  try {
    await openRecord(bytes, verify)
  } catch (error) {
    if (error instanceof SwarmError && ['BAD_RECORD', 'WRONG_VERSION'].includes(error.code)) return error.message
    throw error
  }
  return 'accepted'
}

async function withJson(change: (json: Record<string, unknown>) => void): Promise<Uint8Array> {
  const json = structuredClone(record) as unknown as Record<string, unknown>
  change(json)
  return (await signed(json as unknown as PeerRecord)).bytes
}

test('a signed record opens as it was', async () => {
  const { bytes } = await signed({
    ...record,
    next: { start: 2, end: 4 },
    fixed: true,
    simulated: 40,
    sessionBlocks: 7,
    kv: 'f16',
  })
  expect((await openRecord(bytes, verify)).record).toEqual({
    ...record,
    next: { start: 2, end: 4 },
    fixed: true,
    simulated: 40,
    sessionBlocks: 7,
    kv: 'f16',
  })
})

test('a wish to let blocks go and promises to keep them come as they were said', async () => {
  const asks = { at: NOW, forMs: MAX_PROMISE_MS, span: { start: 0, end: 2 }, all: true as const }
  const promises = [{ to: '12D3KooWother', at: NOW - 5 }]
  const cached = [{ start: 2, end: 4 }]
  const { bytes } = await signed({ ...record, asks, promises, cached })
  expect((await openRecord(bytes, verify)).record).toEqual({ ...record, asks, promises, cached })
})

test('round trips come as they were told, by the ends of peer ids', async () => {
  const other = '12D3KooWGa2XfCa9hzbYKgFcXyuRsVcHnYnyUgWmVnGVgnTpg1Aa'
  const { bytes } = await signed({ ...record, roundTrips: { [roundTripName(other)]: 12, self: 0 } })
  const opened = (await openRecord(bytes, verify)).record
  expect(opened).toEqual({ ...record, roundTrips: { VnGVgnTpg1Aa: 12, self: 0 } })
  expect([toldRoundTrip(opened, other), toldRoundTrip(opened, 'self'), toldRoundTrip(opened, 'toString')]).toEqual([
    12,
    0,
    null,
  ])
})

test('a record with everything in it, at long addresses, keeps to its size', async () => {
  const long = (length: number): string => 'x'.repeat(length)
  const promises = Array.from({ length: MAX_PROMISES }, () => ({ to: long(52), at: NOW }))
  const asks = { at: NOW, forMs: MAX_PROMISE_MS, span: { start: 120, end: 126 }, all: true as const }
  const next = { start: 100, end: 126 }
  const cached = Array.from({ length: MAX_CACHED_SPANS }, () => ({ start: 110, end: 126 }))
  const relays = Array.from({ length: 4 }, () => long(180))
  const model = { ...record.model, repo: long(96) }
  const full = {
    ...record,
    peerId: long(52),
    model,
    next,
    cached,
    asks,
    promises,
    relays,
    fixed: true,
    simulated: 40,
    exact: true,
    kv: long(16),
    roundTrips: Object.fromEntries(
      Array.from({ length: MAX_ROUND_TRIPS }, (_, i) => [String(i).padStart(ROUND_TRIP_NAME_CHARS, 'x'), 1234]),
    ),
  }
  expect((await signed(full)).bytes.length).toBeLessThanOrEqual(MAX_RECORD_BYTES)
})

test('what is signed begins with the prefix, so that no other signature passes for a record', async () => {
  let seen = ''
  await signRecord(record, async (bytes) => {
    seen = new TextDecoder().decode(bytes)
    return new Uint8Array(64)
  })
  expect(seen.startsWith(SIGNATURE_PREFIX)).toBe(true)
})

test('keys that this build does not know survive in the bytes and are ignored', async () => {
  const bytes = await withJson((json) => (json['nickname'] = 'x'))
  const opened = await openRecord(bytes, verify)
  expect(opened.record).toEqual(record)
  expect(new TextDecoder().decode(opened.bytes)).toContain('nickname')
})

test('one changed byte anywhere is refused', async () => {
  const { bytes } = await signed(record)
  await fc.assert(
    fc.asyncProperty(fc.nat(bytes.length - 1), fc.integer({ min: 1, max: 255 }), async (at, change) => {
      expect(await refusal(bytes.with(at, (bytes[at] as number) ^ change))).not.toBe('accepted')
    }),
    { numRuns: 500 },
  )
})

test.each<[string, (json: Record<string, unknown>) => void, RegExp]>([
  ['another version', (j) => (j['v'] = 2), /version 2/],
  ['an unknown state', (j) => (j['state'] = 'great'), /state/],
  ['a span outside the model', (j) => (j['span'] = { start: 4, end: 9 }), /end is not a number/],
  ['a long word for keys and values', (j) => (j['kv'] = 'x'.repeat(17)), /kv/],
  ['an empty span', (j) => (j['span'] = { start: 4, end: 4 }), /4:4/],
  ['a longer life than allowed', (j) => (j['ttlMs'] = MAX_RECORD_TTL_MS + 1), /ttlMs/],
  ['too many relays', (j) => (j['relays'] = ['a', 'b', 'c', 'd', 'e']), /relays/],
  ['a speed that is no number', (j) => (j['blockStepsPerSecond'] = 'fast'), /blockStepsPerSecond/],
  ['a speed below zero', (j) => (j['blockStepsPerSecond'] = -1), /blockStepsPerSecond/],
  ['a fractional sequence', (j) => (j['seq'] = 1.5), /seq/],
  ['a promise of hours', (j) => (j['asks'] = { at: 1, forMs: 3_600_000, span: { start: 0, end: 2 } }), /forMs/],
  [
    'an ask for blocks of no model',
    (j) => (j['asks'] = { at: 1, forMs: 1_000, span: { start: 8, end: 9 } }),
    /start|end/,
  ],
  ['too many promises', (j) => (j['promises'] = Array.from({ length: 9 }, () => ({ to: 'a', at: 1 }))), /promises/],
  ['cached spans of no model', (j) => (j['cached'] = [{ start: 4, end: 99 }]), /end/],
  ['too many cached spans', (j) => (j['cached'] = Array.from({ length: 9 }, () => ({ start: 0, end: 1 }))), /cached/],
  ['round trips in a list', (j) => (j['roundTrips'] = [12]), /roundTrips is not an object/],
  [
    'too many round trips',
    (j) => (j['roundTrips'] = Object.fromEntries(Array.from({ length: MAX_ROUND_TRIPS + 1 }, (_, i) => [`p${i}`, 1]))),
    /roundTrips/,
  ],
  [
    'a round trip to a long name',
    (j) => (j['roundTrips'] = { ['x'.repeat(ROUND_TRIP_NAME_CHARS + 1)]: 1 }),
    /roundTrips/,
  ],
  ['a negative round trip', (j) => (j['roundTrips'] = { a: -1 }), /a is not a number from 0/],
  ['a round trip of minutes', (j) => (j['roundTrips'] = { a: MAX_ROUND_TRIP_MS + 1 }), /a is not a number from 0/],
  ['a round trip in words', (j) => (j['roundTrips'] = { a: '12' }), /a is not a number from 0/],
  ['half a round trip', (j) => (j['roundTrips'] = { a: 0.5 }), /a is not an integer/],
  ['a promise to nobody', (j) => (j['promises'] = [{ at: 1 }]), /to is not a text/],
  ['no model', (j) => delete j['model'], /model/],
])('a record with %s is refused', async (_, change, message) => {
  expect(await refusal(await withJson(change))).toMatch(message)
})

test('a record is fresh from its issue to its ttl by the corrected clock, with a little room for clocks', () => {
  expect(isFresh(record, NOW)).toBe(true)
  expect(isFresh(record, NOW + MAX_RECORD_TTL_MS - 1)).toBe(true)
  expect(isFresh(record, NOW + MAX_RECORD_TTL_MS)).toBe(false)
  expect(isFresh(record, NOW - MAX_CLOCK_SKEW_MS + 1)).toBe(true)
  expect(isFresh(record, NOW - MAX_CLOCK_SKEW_MS)).toBe(false)
})

test('only a higher sequence replaces a record', () => {
  expect(isNewer({ ...record, seq: NOW + 1 }, record)).toBe(true)
  expect(isNewer(record, record)).toBe(false)
})
