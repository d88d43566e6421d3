/**
 * The command lines of the system that this one re-imagines, word for word, with the substitutions that a test may make:
 * the public address is loopback, the pasted peer ids are those that were printed, and `python -m src.main` is a
 * subcommand of `tabswarm`. The model keeps its name and comes from a stand-in for the hub.
 */
import { cleanEnv, ENTRY, REPO_ROOT, startProcess, type StartedProcess } from './processes.ts'

const COMMON = `
    --model meta-llama/Llama-3.1-8B \\
    --splits "8,16,24" \\
    --stage 1 \\
    --use_load_balancing \\
    --num_blocks 8 \\
    --total_blocks 32 \\`

function serverCommand(ports: string, rest: string, initialPeer?: string): string {
  const peers = initialPeer === undefined ? '' : `\n    --dht_initial_peers "${initialPeer}" \\`
  return `python -m src.main \\${COMMON}${peers}${ports}${rest}`
}

const BALANCE = `
    --balance_quality 0.75 \\
    --mean_balance_check_period 120
`

/** Own and public DHT port of servers 1 to 4, as in the guide. */
export const SERVER_PORTS = [
  { dht: 8002, publicDht: 22452 },
  { dht: 8004, publicDht: 29354 },
  { dht: 8006, publicDht: 59491 },
  { dht: 8008, publicDht: 41826 },
] as const

const RPC_PORTS = [
  { rpc: 8003, publicRpc: 50192 },
  { rpc: 8005, publicRpc: 15930 },
  { rpc: 8007, publicRpc: 38548 },
  { rpc: 8009, publicRpc: 23619 },
] as const

/** Method 1, server `index` (0 to 3); server 0 has no initial peers. */
export function method1(index: number, initialPeer?: string): string {
  return serverCommand(portLines(index), ` \\${BALANCE}`, initialPeer)
}

/** Method 2: the same without the balance flags. */
export function method2(index: number, initialPeer?: string): string {
  return serverCommand(portLines(index), '\n', initialPeer)
}

export function clientCommand(initialPeers: string): string {
  return `python -m src.main \\
    --model meta-llama/Llama-3.1-8B \\
    --splits "8,16,24" \\
    --stage 0 \\
    --dht_initial_peers "${initialPeers}" \\
    --dht_port 8008 \\
    --rpc_port 8009 \\
    --public_ip 119.59.0.14 \\
    --public_dht_port 41826 \\
    --public_rpc_port 23619 \\
    --prompt "Hello, how are you?"
`
}

/** `stage1_server1.sh` and `stage1_server2.sh`. */
export function startScript(index: 0 | 1, initialPeer?: string): string {
  if (index === 0) return `#!/bin/bash\n${method1(0)}`
  return `#!/bin/bash
# 첫 번째 서버의 DHT peer ID를 여기에 입력
DHT_PEER="${initialPeer ?? ''}"

${method1(1, '$DHT_PEER')}`
}

/** Runs a start script by bash as it stands, but for the public address and `python -m src.main`. */
export function startGuideScript(
  script: string,
  { dataDir, env }: { dataDir: string; env: Record<string, string> },
): StartedProcess {
  const text = script
    .replaceAll('119.59.0.14', '127.0.0.1')
    .replace('python -m src.main', 'exec "$NODE" "$TABSWARM" donate')
  return startProcess('bash', ['-c', text], {
    env: cleanEnv({ TABSWARM_DATA_DIR: dataDir, NODE: process.execPath, TABSWARM: ENTRY, ...env }),
    cwd: REPO_ROOT,
  })
}

function portLines(index: number): string {
  const own = SERVER_PORTS[index]
  const rpc = RPC_PORTS[index]
  if (own === undefined || rpc === undefined) throw new Error('the guide has four servers')
  return `
    --dht_port ${own.dht} \\
    --rpc_port ${rpc.rpc} \\
    --public_ip 119.59.0.14 \\
    --public_dht_port ${own.publicDht} \\
    --public_rpc_port ${rpc.publicRpc}`
}

/** Arguments of `tabswarm` for a command of the guide: `donate …` for stage ≥ 1, `prompt …` for stage 0. */
export function toArguments(command: string, publicIp = '127.0.0.1'): string[] {
  const words = splitWords(command.replaceAll('\\\n', ' '))
  if (words.slice(0, 3).join(' ') !== 'python -m src.main') throw new Error(`not a command of the guide: ${command}`)
  const flags = words.slice(3).map((word) => word.replaceAll('119.59.0.14', publicIp))
  const stage = flags[flags.indexOf('--stage') + 1]
  return [stage === '0' ? 'prompt' : 'donate', ...flags]
}

function splitWords(line: string): string[] {
  return Array.from(line.matchAll(/"([^"]*)"|(\S+)/g), (match) => match[1] ?? match[2] ?? '')
}

/** The first address of the line that a server prints for others to paste. */
export function firstAddress(line: string): string {
  const address = /DHT visible multiaddrs \(use for --dht_initial_peers\): \[.*?(\/ip4\/[^'",\]\s]+)/.exec(line)?.[1]
  if (address === undefined) throw new Error(`no address in: ${line}`)
  return address
}
