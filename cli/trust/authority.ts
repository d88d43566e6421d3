/**
 * `--ca FILE`: an operator's own certificate authority is trusted besides the usual ones, by everything in this process that
 * speaks TLS (fetch, the WebSockets of peers and relays) and, narrowly, by the browser of donor tabs.
 */
import { createHash, X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { isIP } from 'node:net'
import { connect, rootCertificates } from 'node:tls'
import { Agent, setGlobalDispatcher } from 'undici'
import { trustCertificates } from '../../net/websocket-node.ts'
import { describeError, SwarmError } from '../../swarm/errors.ts'
import { httpOriginOf } from '../prompt/app-config.ts'

const HANDSHAKE_MS = 5_000

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
  const hashes = await Promise.all([...origins].map((origin) => keyOf(new URL(origin as string), ca)))
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

function keyOf(url: URL, ca: string): Promise<string | null> {
  const host = url.hostname.replaceAll(/[[\]]/g, '')
  return new Promise((resolve) => {
    const socket = connect({
      host,
      port: Number(url.port || 443),
      // An address is no name to ask for.
      ...(isIP(host) === 0 ? { servername: host } : {}),
      ca,
      timeout: HANDSHAKE_MS,
    })
    const finish = (hash: string | null): void => {
      socket.destroy()
      resolve(hash)
    }
    socket.once('secureConnect', () => {
      const key = socket.getPeerX509Certificate()?.publicKey.export({ type: 'spki', format: 'der' })
      finish(key === undefined ? null : createHash('sha256').update(key).digest('base64'))
    })
    // The command itself says why a relay cannot be reached.
    socket.once('error', () => finish(null))
    socket.once('timeout', () => finish(null))
  })
}
