/** Signed records for tests. */
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import { privateKeyFromSeed, signWith } from '../../../net/record-crypto.ts'
import { signRecord, type PeerRecord, type SignedRecord } from '../../../swarm/peer-record.ts'

export const DIGEST = 'd'.repeat(32)

export async function signedRecord(
  seedByte: number,
  changes: Partial<PeerRecord> = {},
  signerByte = seedByte,
): Promise<SignedRecord> {
  const key = await privateKeyFromSeed(new Uint8Array(32).fill(seedByte))
  const signer = await privateKeyFromSeed(new Uint8Array(32).fill(signerByte))
  const record: PeerRecord = {
    v: 1,
    peerId: peerIdFromPrivateKey(key).toString(),
    seq: 1_000_000,
    issuedAt: 1_000_000,
    ttlMs: 90_000,
    model: { repo: 'test/tiny', revision: 'abc', digest: DIGEST, blocks: 9 },
    state: 'online',
    span: { start: 0, end: 3 },
    claimedAt: 1,
    maxBlocks: 3,
    blockStepsPerSecond: 1,
    cacheTokensLeft: 1,
    sessions: 0,
    weights: 'f32',
    backend: 'fake',
    relays: [],
    ...changes,
  }
  return signRecord(record, signWith(signer))
}
