/** The certificate that an https origin shows, checked as any client checks it. */
import type { X509Certificate } from 'node:crypto'
import { isIP } from 'node:net'
import { connect } from 'node:tls'

const HANDSHAKE_MS = 5_000

/** `ca`: authorities to trust in place of Node's. @throws the handshake's error: not trusted, another name, nobody there */
export function shownCertificate(origin: string, ca?: string | string[]): Promise<X509Certificate> {
  const url = new URL(origin)
  const host = url.hostname.replaceAll(/[[\]]/g, '')
  return new Promise((resolve, reject) => {
    const socket = connect({
      host,
      port: Number(url.port || 443),
      // An address is no name to ask for.
      ...(isIP(host) === 0 ? { servername: host } : {}),
      ...(ca === undefined ? {} : { ca }),
      timeout: HANDSHAKE_MS,
    })
    socket.once('secureConnect', () => {
      const certificate = socket.getPeerX509Certificate()
      socket.destroy()
      if (certificate === undefined) reject(new Error('no certificate was shown'))
      else resolve(certificate)
    })
    socket.once('error', reject)
    socket.once('timeout', () => {
      socket.destroy()
      reject(new Error(`no handshake in ${HANDSHAKE_MS / 1_000} s`))
    })
  })
}
