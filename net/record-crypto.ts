/**
 * Signing and verifying of peer records with libp2p keys. The public key of an Ed25519 peer id is the id itself, so
 * nothing has to be looked up; other kinds of keys are refused.
 */
import { generateKeyPair, generateKeyPairFromSeed } from '@libp2p/crypto/keys'
import type { Ed25519PrivateKey, PrivateKey } from '@libp2p/interface'
import { peerIdFromPrivateKey, peerIdFromString } from '@libp2p/peer-id'
import type { Sign, Verify } from '../swarm/peer-record.ts'

export const SEED_BYTES = 32

/** The identity of a peer: from its 32-byte seed, or a fresh one. */
export async function privateKeyFromSeed(seed?: Uint8Array): Promise<Ed25519PrivateKey> {
  if (seed === undefined) return generateKeyPair('Ed25519')
  if (seed.byteLength !== SEED_BYTES) throw new Error(`bug: a seed of ${seed.byteLength} bytes, not ${SEED_BYTES}`)
  return generateKeyPairFromSeed('Ed25519', seed)
}

export async function peerIdOfSeed(seed: Uint8Array): Promise<string> {
  return peerIdFromPrivateKey(await privateKeyFromSeed(seed)).toString()
}

export function signWith(privateKey: PrivateKey): Sign {
  return async (bytes) => privateKey.sign(bytes)
}

export const verifySignature: Verify = async (peerId, bytes, signature) => {
  try {
    const key = peerIdFromString(peerId).publicKey
    if (key?.type !== 'Ed25519') return false
    return await key.verify(bytes, signature)
  } catch {
    // Not a peer id, or a signature of the wrong size: what comes from outside is simply not valid.
    return false
  }
}
