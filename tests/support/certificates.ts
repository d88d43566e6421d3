/** Certificates for tests, made by `openssl` when they are needed: an authority and, signed by it, a relay's. */
import { execFileSync, spawnSync } from 'node:child_process'
import { createHash, X509Certificate } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

export interface MadeCertificate {
  certFile: string
  keyFile: string
}

/** The reason why none can be made here, or null. */
export function whyNoCertificates(): string | null {
  const found = spawnSync('openssl', ['version'], { encoding: 'utf8' })
  return found.status === 0 ? null : 'there is no openssl command to make certificates with'
}

export class TestAuthority {
  readonly caFile: string
  readonly #folder: string
  readonly #keyFile: string

  constructor(folder: string) {
    this.#folder = folder
    this.caFile = join(folder, 'ca.pem')
    this.#keyFile = join(folder, 'ca-key.pem')
    openssl(
      ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '30'],
      ['-subj', '/CN=Test authority', '-keyout', this.#keyFile, '-out', this.caFile],
    )
  }

  /** `names`: as in `DNS:relay.example` or `IP:127.0.0.1`. `days`: how long it is good; 0 for one that has ended. */
  certificate(name: string, names: readonly string[], days = 20): MadeCertificate {
    const [keyFile, requestFile, certFile, extensions] = ['key.pem', 'csr.pem', 'cert.pem', 'ext'].map((ending) =>
      join(this.#folder, `${name}-${ending}`),
    ) as [string, string, string, string]
    writeFileSync(
      extensions,
      `subjectAltName=${names.join(',')}\nbasicConstraints=CA:FALSE\nextendedKeyUsage=serverAuth\n`,
    )
    openssl(
      ['req', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-subj', `/CN=${name}`],
      ['-keyout', keyFile, '-out', requestFile],
    )
    openssl(
      ['x509', '-req', '-in', requestFile, '-CA', this.caFile, '-CAkey', this.#keyFile, '-CAcreateserial'],
      ['-days', String(days), '-extfile', extensions, '-out', certFile],
    )
    return { certFile, keyFile }
  }
}

/** What `--ignore-certificate-errors-spki-list` takes: people trust an authority through their system, tests leave that alone. */
export function keyHash({ certFile }: MadeCertificate): string {
  const key = new X509Certificate(readFileSync(certFile)).publicKey.export({ type: 'spki', format: 'der' })
  return createHash('sha256').update(key).digest('base64')
}

function openssl(...args: (readonly string[])[]): void {
  execFileSync('openssl', args.flat(), { stdio: ['ignore', 'ignore', 'pipe'] })
}
