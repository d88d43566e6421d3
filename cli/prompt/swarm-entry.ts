/**
 * How a command finds the swarm it is to join: the initial peers it was given, or the relay of a `tabswarm start` on this
 * machine. Shared by `prompt` and `donate`.
 */
import { parseInitialPeers } from '../../net/multiaddr.ts'
import { SwarmError } from '../../swarm/errors.ts'
import { DEFAULT_PORT } from '../options/shared.ts'
import { mergeRelays, readRelayConfig, readRelayConfigs, type RelayEntry } from './app-config.ts'

export interface SwarmEntry {
  /** Relay addresses to join by, the given ones first. */
  relays: string[]
  /** Relays whose `/config.json` could be read. */
  entries: RelayEntry[]
  /** `off` where one of them says that its swarm is to do without the directory. */
  directory: 'on' | 'off'
}

/** A first server that knows nobody. */
export const EMPTY_SWARM: SwarmEntry = { relays: [], entries: [], directory: 'on' }

/** @throws SwarmError BAD_MULTIADDR */
export function parsePeers(initialPeers: readonly string[]): string[] {
  return initialPeers.length === 0 ? [] : parseInitialPeers(initialPeers.join(','))
}

/**
 * Without initial peers: the relay on this machine's default port. Dead relays among those given are no error here; the
 * node goes on trying them.
 * @throws SwarmError BAD_MULTIADDR, NO_RELAY
 */
export async function findSwarm(initialPeers: readonly string[], signal: AbortSignal): Promise<SwarmEntry> {
  const given = parsePeers(initialPeers)
  if (given.length > 0) {
    const entries = await readRelayConfigs(given, signal)
    return entryOf(given, entries)
  }
  const local = await readRelayConfig(`http://127.0.0.1:${DEFAULT_PORT}`, signal)
  if (local === null || local.config.relays.length === 0) {
    throw new SwarmError('NO_RELAY', `No relay was named, and none runs on this machine’s port ${DEFAULT_PORT}`, {
      action: 'Give --dht-initial-peers with the address that a relay prints, or run npm start first.',
    })
  }
  return entryOf([], [local])
}

function entryOf(given: readonly string[], entries: RelayEntry[]): SwarmEntry {
  const isOff = entries.some(({ config }) => config.developer?.directory === 'off')
  return { relays: mergeRelays(given, entries), entries, directory: isOff ? 'off' : 'on' }
}
