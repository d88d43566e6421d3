/**
 * The certificate in use, exchanged when its files change. The files are looked at by `stat` every few seconds, because those who
 * renew certificates replace files, links or whole folders, and a watch on a file would stay with the old one. A pair that
 * is broken, or half written, is said once and the old one stays.
 */
import { statSync } from 'node:fs'
import { describeError } from '../../swarm/errors.ts'
import type { RelayLog } from '../log.ts'
import { daysLeft, readCertificate, whyNotInForce, type Certificate, type TlsFiles } from './certificate.ts'

const LOOK_MS = 2_000

export class WatchedCertificate {
  readonly #files: TlsFiles
  readonly #log: RelayLog
  readonly #timer: ReturnType<typeof setInterval>
  #current: Certificate
  #seen: string
  #onChange: (certificate: Certificate) => void = () => undefined

  /** @throws SwarmError BAD_OPTION when the first pair cannot be used */
  constructor(files: TlsFiles, log: RelayLog, lookMs = LOOK_MS) {
    this.#files = files
    this.#log = log
    this.#seen = this.#fingerprint()
    this.#current = readCertificate(files)
    this.#tellDays()
    this.#timer = setInterval(() => this.#look(), lookMs)
    this.#timer.unref()
  }

  get current(): Certificate {
    return this.#current
  }

  onChange(listener: (certificate: Certificate) => void): void {
    this.#onChange = listener
  }

  daysLeft(): number {
    return daysLeft(this.#current, Date.now())
  }

  /** Why browsers refuse it now, or null. */
  problem(): string | null {
    return whyNotInForce(this.#current, Date.now())
  }

  stop(): void {
    clearInterval(this.#timer)
  }

  #look(): void {
    const fingerprint = this.#fingerprint()
    if (fingerprint === this.#seen) return
    this.#seen = fingerprint
    try {
      const renewed = readCertificate(this.#files)
      const problem = whyNotInForce(renewed, Date.now())
      if (problem !== null) throw new Error(problem)
      // One name less may be meant; none of them is somebody else's certificate.
      const { names } = this.#current
      if (names.length > 0 && !names.some((name) => renewed.covers(name))) {
        throw new Error(`it is not for ${names.join(', ')}, which the old one is for`)
      }
      this.#onChange(renewed)
      this.#current = renewed
    } catch (error) {
      this.#log.warn('the new certificate is not used, the old one stays', { reason: describeError(error) })
      return
    }
    this.#log.info('certificate exchanged', { file: this.#files.certFile, days: this.daysLeft() })
    this.#tellDays()
  }

  #tellDays(): void {
    const problem = this.problem()
    if (problem !== null) this.#log.warn(`${problem}: browsers refuse this relay until it is renewed`)
  }

  /** Of both files as they are now, links followed; a missing one counts as another state. */
  #fingerprint(): string {
    return [this.#files.certFile, this.#files.keyFile]
      .map((file) => {
        try {
          const stat = statSync(file)
          return `${stat.ino} ${stat.mtimeMs} ${stat.size}`
        } catch {
          // Missing, forbidden, a link to itself: reading it says which.
          return '-'
        }
      })
      .join(' ')
  }
}
