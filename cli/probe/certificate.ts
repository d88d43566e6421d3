/** What certificate an https relay shows, and how long it lasts. */
import { connect } from 'node:tls'
import { isIP } from 'node:net'

const HANDSHAKE_MS = 5_000
const DAY_MS = 86_400_000

/** Days until it ends. @throws the handshake's error: not trusted, another name, nobody there */
export function certificateDays(origin: string, ca: string[] | undefined): Promise<number> {
  const url = new URL(origin)
  const host = url.hostname.replaceAll(/[[\]]/g, '')
  return new Promise((resolve, reject) => {
    const socket = connect({
      host,
      port: Number(url.port || 443),
      ...(isIP(host) === 0 ? { servername: host } : {}),
      ...(ca === undefined ? {} : { ca }),
      timeout: HANDSHAKE_MS,
    })
    socket.once('secureConnect', () => {
      const ends = Date.parse(socket.getPeerCertificate().valid_to)
      socket.destroy()
      resolve(Math.floor((ends - Date.now()) / DAY_MS))
    })
    socket.once('error', reject)
    socket.once('timeout', () => {
      socket.destroy()
      reject(new Error(`no handshake in ${HANDSHAKE_MS / 1_000} s`))
    })
  })
}
