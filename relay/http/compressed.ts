/**
 * The page's files as gzip, compressed once and kept: over a slow line the first load is what a person waits for, and
 * libp2p is three times as long uncompressed. Only what compresses well; a proxy in front may do the rest.
 */
import { readFile } from 'node:fs/promises'
import type { IncomingMessage } from 'node:http'
import { promisify } from 'node:util'
import { gzip as gzipWithCallback } from 'node:zlib'

const gzip = promisify(gzipWithCallback)

/** Source maps are for developers, and longer than everything else together: they stay as they are. */
const COMPRESSIBLE = new Set(['.html', '.js', '.css', '.json', '.svg', '.webmanifest', '.wasm', '.txt'])
/** Shorter files gain nothing: they travel in one packet either way. */
const MIN_BYTES = 1_000
/** Several builds of the page, in case it is renewed while we run; then all is forgotten. */
const MAX_KEPT_BYTES = 16_000_000

const kept = new Map<string, Promise<Buffer>>()
let keptBytes = 0

export function isCompressible(req: IncomingMessage, extension: string, size: number): boolean {
  return COMPRESSIBLE.has(extension) && size >= MIN_BYTES && takesGzip(req.headers['accept-encoding'])
}

/** The compressed file; `version` names its content. @throws what reading the file throws */
export function gzipped(path: string, version: string): Promise<Buffer> {
  const key = `${path} ${version}`
  const known = kept.get(key)
  if (known !== undefined) return known
  const made = compress(path).catch((error: unknown) => {
    kept.delete(key)
    throw error
  })
  kept.set(key, made)
  return made
}

async function compress(path: string): Promise<Buffer> {
  const bytes = await gzip(await readFile(path), { level: 9 })
  keptBytes += bytes.length
  if (keptBytes > MAX_KEPT_BYTES) {
    kept.clear()
    keptBytes = 0
  }
  return bytes
}

/** `gzip;q=0` refuses it. */
function takesGzip(header: string | string[] | undefined): boolean {
  const offers = (Array.isArray(header) ? header.join(',') : (header ?? '')).split(',')
  return offers.some((offer) => {
    const [name, ...parameters] = offer
      .trim()
      .toLowerCase()
      .split(/\s*;\s*/u)
    return name === 'gzip' && !parameters.some((parameter) => /^q=0(\.0*)?$/u.test(parameter))
  })
}
