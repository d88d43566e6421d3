/** What other peers send: frames, open messages, presence records, addresses. */
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import { expect, test } from 'vitest'
import { createValidator, recordKeyBytes } from '../../../net/dht.ts'
import { DirectoryStore } from '../../../net/directory-store.ts'
import { parseInitialPeers } from '../../../net/multiaddr.ts'
import { privateKeyFromSeed, verifySignature } from '../../../net/record-crypto.ts'
import { readOpen } from '../../../net/serve/open-message.ts'
import {
  assertFinite,
  decodeFrame,
  emptyFrame,
  encodeFrame,
  failureFrame,
  hiddenPayload,
  jsonFrame,
  logitsPayload,
  readHidden,
  readJson,
  readLogits,
  readTokens,
  tokensPayload,
} from '../../../swarm/codec.ts'
import { isFresh, openRecord } from '../../../swarm/peer-record.ts'
import { DIGEST, signedRecord } from '../net/records.ts'
import { openFrame } from '../net/requester.ts'
import { fuzz, FUZZ_TIMEOUT_MS, mutatedBytes, mutatedText } from './fuzz.ts'

const SESSION = '000102030405060708090a0b0c0d0e0f'
const FRAMES = [
  encodeFrame(emptyFrame('ping', SESSION, 1)),
  encodeFrame(openFrame({})),
  encodeFrame(jsonFrame('attach', SESSION, 0, {})),
  encodeFrame(failureFrame(SESSION, 0, { code: 'BUSY', message: 'no', retryable: true })),
  encodeFrame({
    ...emptyFrame('step', SESSION, 1),
    rows: 2,
    columns: 1,
    dtype: 'u32',
    payload: tokensPayload(Uint32Array.of(17, 2047)),
  }),
  encodeFrame({
    ...emptyFrame('step', SESSION, 1),
    rows: 1,
    columns: 3,
    dtype: 'f32',
    payload: hiddenPayload(Float32Array.of(1, 2, 3)),
  }),
  encodeFrame({
    ...emptyFrame('logits', SESSION, 1),
    rows: 1,
    columns: 2,
    dtype: 'logits',
    payload: logitsPayload({
      ids: Uint32Array.of(9, 3),
      values: Float32Array.of(2.5, -1),
      logSumExp: 2.53,
      vocabSize: 10,
    }),
  }),
]

test(
  'frames',
  async () => {
    const { taken, refused } = await fuzz(mutatedBytes(FRAMES), (bytes) => {
      const frame = decodeFrame(bytes)
      if (frame.type === 'open') readOpen(frame)
      if (frame.dtype === 'json') readJson(frame)
      if (frame.dtype === 'u32') readTokens(frame)
      if (frame.dtype === 'logits') readLogits(frame)
      if (frame.dtype === 'f32') assertFinite(readHidden(frame))
      // Whatever was taken is what was sent, to the last byte that has a meaning.
      expect(decodeFrame(encodeFrame(frame))).toEqual(frame)
    })
    expect(taken).toBeGreaterThan(0)
    expect(refused).toBeGreaterThan(0)
  },
  FUZZ_TIMEOUT_MS,
)

test(
  'presence records: read, merged and stored',
  async () => {
    const owner = peerIdFromPrivateKey(await privateKeyFromSeed(new Uint8Array(32).fill(1))).toString()
    const key = recordKeyBytes(DIGEST, owner)
    const seeds = [
      (await signedRecord(1)).bytes,
      (await signedRecord(1, { state: 'gone', next: { start: 3, end: 6 }, relays: ['/ip4/127.0.0.1/tcp/1/ws'] })).bytes,
    ]
    const isValid = async (): Promise<boolean> => true
    const now = (): number => 1_000_000
    const { taken, refused } = await fuzz(mutatedBytes(seeds), async (bytes) => {
      const { record } = await openRecord(bytes, isValid)
      isFresh(record, now())
      const store = new DirectoryStore({ verify: isValid, now })
      await store.add(bytes)
      // With real signatures nothing but the untouched bytes passes.
      const validate = createValidator({ verify: verifySignature, now, lastSeq: () => -1 })
      await validate(key, bytes)
      expect(seeds.some((seed) => Buffer.from(seed).equals(bytes))).toBe(true)
    })
    expect(taken).toBeGreaterThan(0)
    expect(refused).toBeGreaterThan(0)
  },
  FUZZ_TIMEOUT_MS,
)

test(
  'keys of the DHT',
  async () => {
    const { bytes } = await signedRecord(1)
    const { record } = await openRecord(bytes, async () => true)
    const validate = createValidator({ verify: async () => true, now: () => 1_000_000, lastSeq: () => -1 })
    const good = recordKeyBytes(DIGEST, record.peerId)
    await fuzz(mutatedBytes([good]), async (key) => {
      await validate(key, bytes)
      expect(Buffer.from(key).equals(good)).toBe(true)
    })
  },
  FUZZ_TIMEOUT_MS,
)

test(
  'relay addresses',
  async () => {
    const id = '12D3KooWGRUVh7TUkf9kbHaeVvHbzKZSbBLCKPVhGXPvb1pJMkEn'
    const seeds = [
      `/ip4/203.0.113.7/tcp/8080/ws/p2p/${id}`,
      `/dns4/swarm.example.org/tcp/443/tls/ws/p2p/${id}`,
      `/ip6/2001:db8::1/tcp/4001/p2p/${id}`,
      `['/ip4/1.2.3.4/tcp/1/p2p/${id}', '/ip4/5.6.7.8/tcp/2/ws/p2p/${id}']`,
    ]
    const { taken, refused } = await fuzz(mutatedText(seeds), (text) => {
      for (const address of parseInitialPeers(text)) {
        // What is accepted is in the one form that is dialled, and is accepted again as it stands.
        expect(address).toMatch(/^\/(ip4|ip6|dns|dns4|dns6)\/[^/]+\/tcp\/\d+\/(ws|wss|tls\/ws)\/p2p\/[^/]+$/u)
        expect(parseInitialPeers(address)).toEqual([address])
      }
    })
    expect(taken).toBeGreaterThan(0)
    expect(refused).toBeGreaterThan(0)
  },
  FUZZ_TIMEOUT_MS,
)
