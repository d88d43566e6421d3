/**
 * A certificate and its key, read from PEM files and checked before they are used: that they belong together, are in force, and
 * whom they name. What is wrong is said as a sentence with the file's name.
 */
import { createPrivateKey, X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { isIP } from 'node:net'
import { createSecureContext } from 'node:tls'
import { describeError, SwarmError } from '../../swarm/errors.ts'

export interface TlsFiles {
  certFile: string
  keyFile: string
}

export interface Certificate {
  /** PEM, with the chain as the file has it. */
  cert: string
  key: string
  /** DNS names without wildcards, and IP addresses, that it was made for. */
  names: readonly string[]
  /** Milliseconds since 1970. */
  notBefore: number
  notAfter: number
  /** Whether a browser that asks for this name or address accepts it. */
  covers: (host: string) => boolean
}

const DAY_MS = 86_400_000

/** @throws SwarmError BAD_OPTION when a file cannot be read, or the two do not belong together */
export function readCertificate({ certFile, keyFile }: TlsFiles): Certificate {
  const cert = readText('--tls-cert', certFile)
  const key = readText('--tls-key', keyFile)
  const leaf = parse(`--tls-cert ${certFile} is no certificate in PEM`, () => new X509Certificate(cert))
  const privateKey = parse(`--tls-key ${keyFile} is no private key in PEM without a password`, () =>
    createPrivateKey(key),
  )
  if (!leaf.checkPrivateKey(privateKey)) {
    throw bad(
      `The key in ${keyFile} is not the one of the certificate in ${certFile}`,
      'Give the two that belong together.',
    )
  }
  // The first certificate alone was read so far: a chain that was cut shows only here.
  parse(`--tls-cert ${certFile} cannot be used with its key`, () => createSecureContext({ cert, key }))
  const names = namesOf(leaf.subjectAltName ?? '')
  return {
    cert,
    key,
    names,
    notBefore: Date.parse(leaf.validFrom),
    notAfter: Date.parse(leaf.validTo),
    covers: (host) => (isIP(host) === 0 ? leaf.checkHost(host) : leaf.checkIP(host)) !== undefined,
  }
}

/** Whole days until it ends; negative when it has. */
export function daysLeft({ notAfter }: Pick<Certificate, 'notAfter'>, now: number): number {
  return Math.floor((notAfter - now) / DAY_MS)
}

/** Why browsers refuse it at this time, or null. */
export function whyNotInForce(certificate: Pick<Certificate, 'notBefore' | 'notAfter'>, now: number): string | null {
  if (now > certificate.notAfter) return `the certificate ended on ${day(certificate.notAfter)}`
  if (now < certificate.notBefore) return `the certificate begins on ${day(certificate.notBefore)}`
  return null
}

function day(time: number): string {
  return new Date(time).toISOString().slice(0, 10)
}

/** `DNS:relay.example, IP Address:203.0.113.7`. */
function namesOf(subjectAltName: string): string[] {
  return subjectAltName.split(', ').flatMap((entry) => {
    const name = /^(?:DNS|IP Address):([^*"]+)$/u.exec(entry)?.[1]
    return name === undefined ? [] : [name.toLowerCase()]
  })
}

function readText(flag: string, file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (cause) {
    throw bad(
      `${flag} ${file} cannot be read: ${describeError(cause)}`,
      'Correct the path, or let this user read the file.',
    )
  }
}

function parse<T>(sentence: string, read: () => T): T {
  try {
    return read()
  } catch (cause) {
    throw bad(
      `${sentence}: ${describeError(cause)}`,
      'Name the PEM files that your certificate authority or certbot wrote.',
    )
  }
}

function bad(sentence: string, action: string): SwarmError {
  return new SwarmError('BAD_OPTION', `${sentence}.`, { action })
}
