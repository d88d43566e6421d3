/** What a renewal can look like while it is under way, or when it went wrong: the pair in use stays, and so does the relay. */
import { copyFileSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test, vi } from 'vitest'
import { silentLog } from '../../../relay/log.ts'
import type { Certificate } from '../../../relay/tls/certificate.ts'
import { WatchedCertificate } from '../../../relay/tls/watched-certificate.ts'
import { TestAuthority, whyNoCertificates } from '../../support/certificates.ts'
import { makeTempDir, removeTempDir } from '../../support/processes.ts'

const WHY_NOT = whyNoCertificates()

test.skipIf(WHY_NOT !== null)(
  `a new pair that is cut, ended, for another name or not there is refused, and a good one taken${WHY_NOT === null ? '' : ` (skipped: ${WHY_NOT})`}`,
  async () => {
    const folder = makeTempDir('certificate')
    const authority = new TestAuthority(folder)
    const good = authority.certificate('good', ['DNS:relay.example'])
    const next = authority.certificate('next', ['DNS:relay.example'])
    const ended = authority.certificate('ended', ['DNS:relay.example'], 0)
    const other = authority.certificate('other', ['DNS:other.example'])
    const files = { certFile: join(folder, 'used.pem'), keyFile: join(folder, 'used-key.pem') }
    const use = (pair: typeof files): void => {
      copyFileSync(pair.keyFile, files.keyFile)
      copyFileSync(pair.certFile, files.certFile)
    }
    use(good)
    const reasons: string[] = []
    const log = { ...silentLog, warn: (_: string, fields = {}) => void reasons.push(JSON.stringify(fields)) }
    const watched = new WatchedCertificate(files, log, 10)
    const taken: Certificate[] = []
    watched.onChange((certificate) => void taken.push(certificate))
    const first = watched.current
    const refusedFor = async (pattern: RegExp): Promise<void> => {
      await vi.waitFor(() => expect(reasons.join('\n')).toMatch(pattern), { timeout: 10_000, interval: 10 })
      expect(watched.current).toBe(first)
    }
    try {
      const whole = readFileSync(good.certFile, 'utf8')
      // The leaf is whole, what signed it is not.
      writeFileSync(files.certFile, `${whole}${whole.slice(0, 200)}`)
      await refusedFor(/cannot be used with its key/)
      use(ended)
      await refusedFor(/the certificate ended on/)
      use(other)
      await refusedFor(/it is not for relay\.example/)
      rmSync(files.certFile)
      symlinkSync(files.certFile, files.certFile)
      await refusedFor(/cannot be read/)
      expect(taken).toEqual([])
      rmSync(files.certFile)
      use(next)
      await vi.waitFor(() => expect(taken.at(-1)?.cert).toBe(readFileSync(next.certFile, 'utf8')), { timeout: 10_000 })
    } finally {
      watched.stop()
      removeTempDir(folder)
    }
  },
)
