/**
 * What the recipes of `docs/hosting.md` need beside Tabswarm: Caddy, nginx, ssh. Each is started from the recipe's own text with
 * throw-away files and ports; where a program is not installed, the reason is what a skipped test says.
 */
import { execFileSync, spawnSync } from 'node:child_process'
import { chmodSync, existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { MadeCertificate } from './certificates.ts'
import { cleanEnv, startProcess, type StartedProcess } from './processes.ts'

export function whyNoProgram(...names: readonly string[]): string | null {
  const missing = names.filter((name) => pathOf(name) === null)
  return missing.length === 0 ? null : `${missing.join(' and ')} is not installed`
}

function pathOf(name: string): string | null {
  const found = spawnSync('sh', ['-c', `PATH="$PATH:/usr/sbin" command -v ${name}`], { encoding: 'utf8' })
  return found.status === 0 ? found.stdout.trim() : null
}

export interface ProxyOptions {
  /** The recipe's file. */
  text: string
  folder: string
  /** Where it listens. */
  port: number
  certificate: MadeCertificate
}

/** Caddy with a certificate given, because no authority would make one for a test. */
export function startCaddy({ text, folder, port, certificate }: ProxyOptions): StartedProcess {
  const file = join(folder, 'Caddyfile')
  const site = text
    .replace('relay.example {', `proxied.example:${port} {\n    tls ${certificate.certFile} ${certificate.keyFile}`)
    .trimEnd()
  writeFileSync(file, `{\n    admin off\n    auto_https disable_redirects\n}\n${site}\n`)
  return startProcess(pathOf('caddy') ?? 'caddy', ['run', '--adapter', 'caddyfile', '--config', file], {
    env: cleanEnv({ HOME: folder, XDG_DATA_HOME: folder, XDG_CONFIG_HOME: folder }),
    cwd: folder,
  })
}

export function startNginx({ text, folder, port, certificate }: ProxyOptions): StartedProcess {
  const file = join(folder, 'nginx.conf')
  const site = text
    .replace('listen 443 ssl', `listen 127.0.0.1:${port} ssl`)
    .replace('relay.example', 'proxied.example')
    .replace('/etc/tabswarm/fullchain.pem', certificate.certFile)
    .replace('/etc/tabswarm/privkey.pem', certificate.keyFile)
  const bodies = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
    (kind) => `${kind}_temp_path ${folder}/${kind};`,
  )
  const http = `http { access_log off; ${bodies.join(' ')} ${site} }`
  writeFileSync(file, `daemon off; pid ${folder}/nginx.pid; error_log stderr warn; events {} ${http}\n`)
  return startProcess(pathOf('nginx') ?? 'nginx', ['-p', folder, '-c', file], { env: cleanEnv(), cwd: folder })
}

/** A shell server on loopback that takes one key, and the command that leads through it. */
export interface TestSsh {
  server: StartedProcess
  /** What the recipe's `ssh` needs to find it. */
  clientOptions: readonly string[]
}

export function startSsh(folder: string, port: number): TestSsh {
  for (const name of ['host', 'client']) {
    execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', join(folder, name)])
  }
  const keys = join(folder, 'authorized_keys')
  execFileSync('cp', [join(folder, 'client.pub'), keys])
  chmodSync(keys, 0o600)
  // It wants this folder, and ends without.
  if (process.getuid?.() === 0 && !existsSync('/run/sshd')) mkdirSync('/run/sshd')
  const settings = {
    Port: String(port),
    ListenAddress: '127.0.0.1',
    HostKey: join(folder, 'host'),
    AuthorizedKeysFile: keys,
    PidFile: join(folder, 'sshd.pid'),
    UsePAM: 'no',
    StrictModes: 'no',
    PasswordAuthentication: 'no',
  }
  const options = Object.entries(settings).flatMap(([name, value]) => ['-o', `${name}=${value}`])
  const server = startProcess(pathOf('sshd') ?? 'sshd', ['-D', '-e', '-f', '/dev/null', ...options], {
    env: cleanEnv(),
    cwd: folder,
  })
  const clientOptions = [
    ['-p', String(port)],
    ['-i', join(folder, 'client')],
    ['-o', 'StrictHostKeyChecking=no'],
    ['-o', `UserKnownHostsFile=${join(folder, 'known_hosts')}`],
    ['-o', 'ExitOnForwardFailure=yes'],
    ['-v'],
  ].flat()
  return { server, clientOptions }
}
