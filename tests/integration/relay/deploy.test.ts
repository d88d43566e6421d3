/**
 * The files that an operator installs, run as they stand: the command and the environment of the systemd unit and of the
 * compose file, extracted from them, with only folders and port put in place. What checks such files is asked where it is.
 */
import { spawnSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { relayOptions } from '../../../relay/options.ts'
import { startProcess, type StartedProcess } from '../../support/processes.ts'
import { freePort } from '../../support/swarm.ts'
import { atEnd, clientForTest, DirectoryClient, temporaryFolder } from './support.ts'

const ROOT = join(import.meta.dirname, '../../..')
const UNIT = readFileSync(join(ROOT, 'deploy/tabswarm-relay.service'), 'utf8')
const COMPOSE = readFileSync(join(ROOT, 'deploy/compose.yaml'), 'utf8')
const INSTALLED = '/opt/tabswarm'
const STATE = '/var/lib/tabswarm'

interface Installed {
  words: string[]
  env: Record<string, string>
  /** What the operator's file grants a stop. */
  stopSeconds: number
}

/** The words of `ExecStart=`, which has no quotes, with the variables that systemd sets. */
function ofUnit(): Installed {
  const values = (key: string): string[] =>
    Array.from(UNIT.matchAll(new RegExp(`^${key}=(.*)$`, 'gmu')), ([, value = '']) => value)
  const [command = ''] = values('ExecStart')
  return {
    words: command.replaceAll('${STATE_DIRECTORY}', STATE).split(' '),
    env: Object.fromEntries(values('Environment').map((line) => line.split('=') as [string, string])),
    stopSeconds: Number(values('TimeoutStopSec')[0]),
  }
}

function ofCompose(): Installed {
  const environment = /^ {4}environment:\n((?: {6}.*\n)+)/mu.exec(COMPOSE)?.[1] ?? ''
  return {
    words: listAt('command'),
    env: Object.fromEntries(
      Array.from(environment.matchAll(/^ {6}(\w+): '(.*)'$/gmu), ([, name = '', value = '']) => [name, value]),
    ),
    stopSeconds: Number(/stop_grace_period: (\d+)s/u.exec(COMPOSE)?.[1]),
  }
}

/** The words of a list in brackets, on one line or several, each in quotes of either kind. */
function listAt(key: string): string[] {
  const list = new RegExp(`^ +${key}:\\s*\\[((?:'[^']*'|"[^"]*"|[^\\]'"])*)\\]$`, 'mu').exec(COMPOSE)?.[1] ?? ''
  return Array.from(list.matchAll(/'([^']*)'|"([^"]*)"/gu), ([, single, double]) => single ?? double ?? '')
}

function inPlace(word: string, stateDir: string): string {
  if (word === 'node' || word === '/usr/bin/node') return process.execPath
  return word.replace(STATE, stateDir).replace(INSTALLED, ROOT.replace(/\/$/u, ''))
}

/** With nothing of this process's environment, as a service is started. */
async function start(installed: Installed, stateDir: string, port: number): Promise<StartedProcess> {
  const [command = '', ...args] = installed.words.map((word) => inPlace(word, stateDir))
  const env = { PATH: '/usr/bin:/bin', ...installed.env, TABSWARM_PORT: String(port) }
  const relay = startProcess(command, args, { env, cwd: ROOT })
  atEnd(() => relay.stop())
  await relay.waitForLine(/DHT visible multiaddrs/u, 60_000)
  expect((await fetch(`http://127.0.0.1:${port}/readyz`)).status).toBe(200)
  return relay
}

function peerIdIn(relay: StartedProcess): string {
  return /\/p2p\/(12D3\w+)/u.exec(relay.both.find((line) => line.includes('DHT visible')) ?? '')?.[1] ?? 'none'
}

it.each([
  ['the systemd unit', ofUnit],
  ['the compose file', ofCompose],
])('%s starts a relay that is ready, tells when it is back, ends with 0, and keeps its key', async (_name, read) => {
  const installed = read()
  const [stateDir, port] = [await temporaryFolder(), await freePort()]
  const relay = await start(installed, stateDir, port)
  // JSON lines, as asked for by the file.
  expect(JSON.parse(relay.both.find((line) => line.includes('DHT visible')) ?? '')).toMatchObject({ level: 'info' })
  const address = `/ip4/127.0.0.1/tcp/${port}/ws/p2p/${peerIdIn(relay)}`
  const directory = await DirectoryClient.open(await clientForTest(), {
    port,
    peerId: peerIdIn(relay),
    addresses: [address],
  })
  relay.signal('SIGTERM')
  const backAfterMs = Number(installed.env['TABSWARM_RESTART_AFTER']) * 1_000
  expect(await directory.until(({ type }) => type === 'restarting')).toMatchObject({ forMs: backAfterMs })
  expect(await relay.exited(installed.stopSeconds * 1_000)).toEqual({ code: 0, signal: null })
  const again = await start(installed, stateDir, port)
  expect(peerIdIn(again)).toBe(peerIdIn(relay))
})

it('names only flags that there are, in the unit, the compose file and the example of settings', () => {
  const known = Object.keys(relayOptions).map((name) => `TABSWARM_${name.replaceAll(/[A-Z]/gu, '_$&').toUpperCase()}`)
  const example = readFileSync(join(ROOT, 'deploy/relay.env.example'), 'utf8')
  const named = [UNIT, COMPOSE, example].flatMap((text) =>
    Array.from(text.matchAll(/\b(TABSWARM_\w+)(?==|: ')/gu), ([, name = '']) => name),
  )
  expect(named.length).toBeGreaterThan(10)
  expect(named.filter((name) => name !== 'TABSWARM_SETUP' && !known.includes(name))).toEqual([])
})

it('the health check of the compose file tells a relay from none', async () => {
  const [, command = '', ...args] = listAt('test')
  const port = await freePort()
  const check = (): number | null => {
    const words = args.map((word) => word.replace(':8080/', `:${port}/`))
    return spawnSync(inPlace(command, ''), words, { timeout: 20_000 }).status
  }
  expect(check()).toBe(1)
  const relay = await start(ofCompose(), await temporaryFolder(), port)
  expect(check()).toBe(0)
  await relay.stop()
})

it('systemd finds no fault with the unit, where it is there to ask', async ({ skip }) => {
  if (spawnSync('systemd-analyze', ['--version']).error !== undefined) skip('systemd-analyze is not installed')
  // It looks whether the program exists, so the folders of this machine are put in.
  const file = join(await temporaryFolder(), 'tabswarm-relay.service')
  writeFileSync(
    file,
    UNIT.replaceAll(INSTALLED, ROOT.replace(/\/$/u, '')).replaceAll('/usr/bin/node', process.execPath),
  )
  const { status, stderr } = spawnSync('systemd-analyze', ['verify', file], { encoding: 'utf8' })
  expect(stderr).not.toMatch(/tabswarm/u)
  expect(status).toBe(0)
})

it('Docker finds no fault with the compose file, where it is there to ask', ({ skip }) => {
  if (spawnSync('docker', ['compose', 'version']).status !== 0) skip('docker compose is not installed')
  const { status, stderr } = spawnSync('docker', ['compose', '-f', join(ROOT, 'deploy/compose.yaml'), 'config'], {
    encoding: 'utf8',
  })
  expect(status, stderr).toBe(0)
})
