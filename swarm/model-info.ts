/** Model identity: what peers compare so that two revisions never compute one answer together. */
import type { ModelId } from './peer-record.ts'

/**
 * `sha256` is handed in (crypto.subtle or node:crypto). The digest is the first 32 hex digits of
 * sha-256 of `repo@revision`; weights and config are pinned by the revision (a commit hash).
 */
export async function makeModelId(
  repo: string,
  revision: string,
  blocks: number,
  sha256: (bytes: Uint8Array) => Promise<Uint8Array>,
): Promise<ModelId> {
  const hash = await sha256(new TextEncoder().encode(`${repo}@${revision}`))
  const digest = Array.from(hash.subarray(0, 16), (b) => b.toString(16).padStart(2, '0')).join('')
  return { repo, revision, digest, blocks }
}
