/**
 * `--ca FILE`: an operator's own certificate authority is trusted besides the usual ones, by everything in this process that
 * speaks TLS (fetch, the WebSockets of peers and relays) and, narrowly, by the browser of donor tabs.
 */
import { createHash, X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { rootCertificates } from 'node:tls'
import { Agent, setGlobalDispatcher } from 'undici'
import { trustCertificates } from '../../net/websocket-node.ts'
import { describeError, SwarmError } from '../../swarm/errors.ts'
import { httpOriginOf } from '../prompt/app-config.ts'
import { shownCertificate } from './shown-certificate.ts'

/** @throws SwarmError BAD_OPTION */
export function trustAuthority(file: string): void {
  const ca = [...rootCertificates, readAuthority(file)]
  setGlobalDispatcher(new Agent({ connect: { ca } }))
  trustCertificates(ca)
}

/**
 * Hashes of the public keys that the browser is to accept for these relays: of those whose certificates this process has just
 * checked against the authority. Chromium takes no file of authorities; this opens no other door. A relay that cannot be
 * reached now, or changes its key later, is refused by the browser until the command is started again.
 */
export async function acceptedKeys(file: string, relays: readonly string[]): Promise<string[]> {
  const ca = readAuthority(file)
  const origins = new Set(relays.map(httpOriginOf).filter((origin) => origin?.startsWith('https:') === true))
  const hashes = await Promise.all([...origins].map((origin) => keyOf(origin as string, ca)))
  return [...new Set(hashes.filter((hash) => hash !== null))]
}

function readAuthority(file: string): string {
  try {
    const pem = readFileSync(file, 'utf8')
    // Only the first is looked at; a file may hold several.
    if (new X509Certificate(pem).subject === '') throw new Error('it names nobody')
    return pem
  } catch (cause) {
    throw new SwarmError(
      'BAD_OPTION',
      `--ca ${file} is no certificate in PEM that can be read: ${describeError(cause)}`,
      {
        action: 'Name the file of the certificate authority that the relay’s operator gave you.',
        cause,
      },
    )
  }
}

async function keyOf(origin: string, ca: string): Promise<string | null> {
  try {
    const { publicKey } = await shownCertificate(origin, ca)
    return createHash('sha256')
      .update(publicKey.export({ type: 'spki', format: 'der' }))
      .digest('base64')
  } catch {
    // The command itself says why a relay cannot be reached.
    return null
  }
}
