/**
 * The relay's identity: 32 random bytes (an Ed25519 seed) in a file that only its owner may read. It must stay, because
 * the peer id is part of every address that people have copied.
 */
import { randomBytes } from 'node:crypto'
import { chmod, mkdir, open, readFile, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { SEED_BYTES } from '../net/record-crypto.ts'
import { describeError, SwarmError } from '../swarm/errors.ts'
import type { RelayLog } from './log.ts'

const OWNER_ONLY = 0o600

/**
 * Reads the seed, or makes one. The file is created exclusively, so two relays that start at once get the same seed.
 * @throws SwarmError BAD_OPTION when the file cannot be used as a key
 */
export async function loadOrCreateSeed(file: string, log: RelayLog): Promise<Uint8Array> {
  const known = await readSeed(file, log)
  if (known !== null) return known
  const seed = randomBytes(SEED_BYTES)
  try {
    await mkdir(dirname(file), { recursive: true, mode: 0o700 })
    const handle = await open(file, 'wx', OWNER_ONLY)
    try {
      await handle.writeFile(`${seed.toString('hex')}\n`)
      await handle.sync()
    } finally {
      await handle.close()
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw unusable(file, describeError(error), error)
    return waitForSeed(file, log)
  }
  log.info('relay identity created; keep this file to keep the address', { file })
  return seed
}

/** Another process created the file a moment ago and may still be writing it. */
async function waitForSeed(file: string, log: RelayLog): Promise<Uint8Array> {
  for (let attempt = 0; ; attempt += 1) {
    try {
      const seed = await readSeed(file, log)
      if (seed !== null) return seed
    } catch (error) {
      if (attempt >= 20) throw error
    }
    await new Promise((resolve) => setTimeout(resolve, 25))
  }
}

async function readSeed(file: string, log: RelayLog): Promise<Uint8Array | null> {
  let text: string
  try {
    text = await readFile(file, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null
    throw unusable(file, describeError(error), error)
  }
  const hex = text.trim()
  if (!/^[0-9a-f]{64}$/u.test(hex)) throw unusable(file, `it does not hold ${SEED_BYTES} bytes in hexadecimal`)
  if (process.platform !== 'win32' && ((await stat(file)).mode & 0o077) !== 0) {
    await chmod(file, OWNER_ONLY)
    log.warn('others could read the relay identity file; it is readable by its owner only now', { file })
  }
  return Buffer.from(hex, 'hex')
}

function unusable(file: string, reason: string, cause?: unknown): SwarmError {
  return new SwarmError('BAD_OPTION', `The relay identity file ${file} cannot be used: ${reason}.`, {
    action: 'Name another one with --key-file, or remove it to get a new identity (its address changes).',
    cause,
  })
}
