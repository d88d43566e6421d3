import fc from 'fast-check'
import { beforeEach, expect, test, vi } from 'vitest'
import { DirectoryStore } from '../../../net/directory-store.ts'
import { verifySignature } from '../../../net/record-crypto.ts'
import { DIGEST, signedRecord } from './records.ts'

let now: number
let store: DirectoryStore

beforeEach(() => {
  now = 1_000_000
  store = new DirectoryStore({ verify: verifySignature, now: () => now })
})

test('merges by sequence: newer in, same and older out', async () => {
  const first = await signedRecord(1)
  const { peerId } = first.record
  expect(await store.add(first.bytes)).toBe('added')
  expect(await store.add(first.bytes)).toBe('known')
  expect(await store.add((await signedRecord(1, { seq: 1_000_001, sessions: 5 })).bytes)).toBe('added')
  expect(await store.add(first.bytes)).toBe('known')
  expect(store.get(peerId)?.sessions).toBe(5)
  expect(store.lastSeq(peerId)).toBe(1_000_001)
  expect(store.lastSeq('nobody')).toBe(-1)
})

test('refuses what is forged, also under the peer id of a record that is held', async () => {
  const real = await signedRecord(1)
  await store.add(real.bytes)
  await expect(store.add((await signedRecord(1, { seq: 2_000_000 }, 2)).bytes)).rejects.toMatchObject({
    code: 'BAD_RECORD',
  })
  // The signature of the held record on other content.
  const tampered = (await signedRecord(1, { sessions: 1 })).bytes
  tampered.set(real.bytes.subarray(-64), tampered.length - 64)
  await expect(store.add(tampered)).rejects.toMatchObject({ code: 'BAD_RECORD' })
})

test('does not verify again what it holds', async () => {
  const verify = vi.fn(verifySignature)
  store = new DirectoryStore({ verify, now: () => now })
  const { bytes } = await signedRecord(1)
  await store.add(bytes)
  await store.add(bytes)
  expect(verify).toHaveBeenCalledTimes(1)
})

test('freshness follows the corrected clock', async () => {
  const { bytes, record } = await signedRecord(1)
  now = record.issuedAt - 31_000
  expect(await store.add(bytes)).toBe('expired')
  now = record.issuedAt + 90_000
  expect(await store.add(bytes)).toBe('expired')
  now = record.issuedAt + 89_000
  expect(await store.add(bytes)).toBe('added')
  expect(store.records(DIGEST)).toHaveLength(1)
  now = record.issuedAt + 90_001
  expect(store.records(DIGEST)).toEqual([])
  expect(store.get(record.peerId)).toBeUndefined()
})

test('an older record does not come back after a newer one ran out', async () => {
  const old = await signedRecord(1, { issuedAt: 1_010_000, seq: 5 })
  await store.add((await signedRecord(1, { seq: 9, ttlMs: 1_000 })).bytes)
  now = 1_020_000
  store.sweep()
  expect(await store.add(old.bytes)).toBe('known')
})

test('gone hides a peer until it publishes again', async () => {
  const { bytes, record } = await signedRecord(1)
  await store.add(bytes)
  expect(store.markGone(record.peerId)).toBe(true)
  expect(store.markGone(record.peerId)).toBe(false)
  expect(store.markGone('nobody')).toBe(false)
  expect(store.records(DIGEST)).toEqual([])
  expect(await store.add(bytes)).toBe('known')
  expect(store.records(DIGEST)).toEqual([])
  await store.add((await signedRecord(1, { seq: 1_000_002 })).bytes)
  expect(store.records(DIGEST)).toHaveLength(1)
  // A goodbye is signed by the peer itself: nothing takes it back but a newer record.
  await store.add((await signedRecord(1, { seq: 1_000_003, state: 'gone' })).bytes)
  store.unmarkGone(record.peerId)
  expect(store.records(DIGEST)).toEqual([])
})

test('listens: one call for several changes, never from inside a call; and when a record runs out', async () => {
  const listener = vi.fn(() => undefined)
  const stop = store.onChange(listener)
  const [first, second] = await Promise.all([signedRecord(1), signedRecord(2)])
  store.addVerified(first)
  store.addVerified(second)
  expect(listener).not.toHaveBeenCalled()
  await Promise.resolve()
  expect(listener).toHaveBeenCalledTimes(1)
  store.sweep()
  await Promise.resolve()
  expect(listener).toHaveBeenCalledTimes(1)
  now += 100_000
  store.sweep()
  await Promise.resolve()
  expect(listener).toHaveBeenCalledTimes(2)
  stop()
  store.addVerified(await signedRecord(3, { issuedAt: now }))
  await Promise.resolve()
  expect(listener).toHaveBeenCalledTimes(2)
})

test('keeps the signed bytes, ordered by peer id, of one model or of all', async () => {
  const records = await Promise.all([1, 2, 3].map((seed) => signedRecord(seed)))
  const foreign = await signedRecord(4, { model: { repo: 'o', revision: 'r', digest: 'e'.repeat(32), blocks: 9 } })
  for (const { bytes } of [...records, foreign]) await store.add(bytes)
  const ids = store.records(DIGEST).map(({ peerId }) => peerId)
  expect(ids).toEqual(ids.toSorted())
  expect(store.signedRecords()).toHaveLength(4)
  expect(store.signedRecords(DIGEST)).toHaveLength(3)
  expect(
    store
      .models()
      .map(({ repo }) => repo)
      .toSorted(),
  ).toEqual(['o', 'test/tiny'])
  expect(store.getSigned(records[0]?.record.peerId ?? '')?.bytes).toEqual(records[0]?.bytes)
})

test('a full directory takes no new peers, and has room again when old ones are forgotten', async () => {
  store = new DirectoryStore({ verify: verifySignature, now: () => now, maxRecords: 2 })
  for (const seed of [1, 2]) await store.add((await signedRecord(seed)).bytes)
  expect(await store.add((await signedRecord(3)).bytes)).toBe('full')
  expect(await store.add((await signedRecord(1, { seq: 1_000_009 })).bytes)).toBe('added')
  now += 130_000
  expect(await store.add((await signedRecord(3, { issuedAt: now })).bytes)).toBe('added')
})

test('whatever order records arrive in, the highest sequence of each peer is what is listed', async () => {
  const all = await Promise.all(
    [1, 2].flatMap((seed) => [1, 2, 3].map((seq) => signedRecord(seed, { seq, sessions: seq }))),
  )
  fc.assert(
    fc.property(fc.shuffledSubarray(all), (arriving) => {
      const merged = new DirectoryStore({ verify: verifySignature, now: () => now })
      for (const signed of arriving) merged.addVerified(signed)
      for (const { record } of arriving) {
        const best = Math.max(...arriving.filter((o) => o.record.peerId === record.peerId).map((o) => o.record.seq))
        expect(merged.get(record.peerId)?.sessions).toBe(best)
      }
    }),
  )
})
