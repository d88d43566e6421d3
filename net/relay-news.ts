/** What a person is told of the relays while a tab or a prompt runs: that one restarts and when it is back, and that it is. */
import type { RelayStatus, SwarmNode } from './types.ts'

/** Tells each change once. Returns the function that ends it. */
export function tellRelayNews(node: Pick<SwarmNode, 'relays' | 'onRelayChange'>, tell: (text: string) => void) {
  const restarting = new Set<string>()
  const look = (): void => {
    for (const status of node.relays()) {
      if (status.state === 'restarting' && !restarting.has(status.address)) {
        restarting.add(status.address)
        tell(restartText(status))
      } else if (status.state === 'connected' && restarting.delete(status.address)) {
        tell('The relay is back.')
      }
    }
  }
  look()
  return node.onRelayChange(look)
}

/**
 * Tells of each relay that refuses this peer, and why: a limit, another version. Once for each reason until it is let in.
 * Returns the function that ends it.
 */
export function tellRefusals(node: Pick<SwarmNode, 'relays' | 'onRelayChange'>, tell: (text: string) => void) {
  const told = new Map<string, string>()
  const look = (): void => {
    for (const { address, state, reason = 'it does not say why' } of node.relays()) {
      if (state === 'connected') told.delete(address)
      if (state !== 'refused' || told.get(address) === reason) continue
      told.set(address, reason)
      tell(`The relay refuses this tab: ${reason}`)
    }
  }
  look()
  return node.onRelayChange(look)
}

function restartText({ backAfterMs }: RelayStatus): string {
  const when =
    backAfterMs === undefined
      ? 'stops and does not say when it is back'
      : `restarts and says it is back in about ${Math.ceil(backAfterMs / 1_000)} s`
  return `The relay ${when}. What is connected goes on, and comes back to it by itself.`
}
