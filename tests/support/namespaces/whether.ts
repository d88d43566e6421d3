/** Whether this machine can make network namespaces, and routers of them: the reason where it cannot, for a test's name. */
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { PREFIX } from './lab.ts'

const APT = '/usr/bin/apt-get'
/** A packet filter that takes longer to install than this is not worth waiting for. */
const INSTALL_LIMIT_MS = 120_000

/** The reason, or null where namespaces can be made. */
export function whyNoNamespaces(): string | null {
  return inTrial(() => null)
}

/** The same for a namespace that translates addresses as a home's router does. Installs iptables as root on Debian. */
export function whyNoRouters(): string | null {
  return inTrial((name) => {
    if (!hasIptables()) installIptables()
    if (!hasIptables()) return 'there is no iptables, and it could not be installed'
    const rule = ['-t', 'nat', '-A', 'POSTROUTING', '-j', 'MASQUERADE', '--random']
    const nat = spawnSync('ip', ['netns', 'exec', name, 'iptables', ...rule], { encoding: 'utf8' })
    if (nat.status !== 0) return `iptables cannot translate addresses here, ${nat.stderr.trim()}`
    if (spawnSync('tc', ['-V']).status !== 0) return 'there is no tc command (iproute2) to shape a line with'
    return null
  })
}

function inTrial(look: (name: string) => string | null): string | null {
  if (process.platform !== 'linux') return 'network namespaces exist on Linux only'
  if (process.getuid?.() !== 0) return 'making network namespaces needs root'
  const name = `${PREFIX}${process.pid}-trial`
  const made = spawnSync('ip', ['netns', 'add', name], { encoding: 'utf8' })
  if (made.error !== undefined) return 'there is no ip command (iproute2) to make network namespaces with'
  if (made.status !== 0) return `network namespaces cannot be made here, ${made.stderr.trim()}`
  try {
    return look(name)
  } finally {
    spawnSync('ip', ['netns', 'del', name])
  }
}

function hasIptables(): boolean {
  return spawnSync('iptables', ['--version']).status === 0
}

/** As the product gets its browser where there is none. */
function installIptables(): void {
  if (!existsSync(APT)) return
  const install = ['install', '-y', '-qq', '--no-install-recommends', 'iptables']
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
  for (const args of [install, ['update', '-qq'], install]) {
    const { status } = spawnSync(APT, args, { env, timeout: INSTALL_LIMIT_MS, stdio: 'ignore' })
    if (status === 0 && args === install) return
  }
}
