/** One cache entry as stored: a fixed head with length and sha-256, then the bytes. Anything else is a damaged entry. */
import { sha256 } from '../sha256.ts'

const MAGIC = 0x31575354 // "TSW1", little-endian
export const ENTRY_HEAD_BYTES = 40

/** The head to be written before `bytes`. */
export async function entryHead(bytes: Uint8Array): Promise<Uint8Array<ArrayBuffer>> {
  const head = new Uint8Array(ENTRY_HEAD_BYTES)
  const view = new DataView(head.buffer)
  view.setUint32(0, MAGIC, true)
  view.setUint32(4, bytes.length, true)
  head.set(await sha256(bytes), 8)
  return head
}

/** The bytes of a stored entry, null when it is short, foreign or damaged. */
export async function openEntry(stored: ArrayBuffer): Promise<Uint8Array<ArrayBuffer> | null> {
  if (stored.byteLength < ENTRY_HEAD_BYTES) return null
  const view = new DataView(stored)
  const length = view.getUint32(4, true)
  if (view.getUint32(0, true) !== MAGIC || length !== stored.byteLength - ENTRY_HEAD_BYTES) return null
  const bytes = new Uint8Array(stored, ENTRY_HEAD_BYTES)
  const expected = new Uint8Array(stored, 8, 32)
  const actual = await sha256(bytes)
  return actual.every((byte, i) => byte === expected[i]) ? bytes : null
}
