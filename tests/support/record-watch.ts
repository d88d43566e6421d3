/** Sees what a swarm's tabs announce, through a relay, as any peer does: for tests of what must never be announced. */
import '../../net/compat.ts'
import { createRequestingNode } from '../../net/node.ts'
import { nodePlatform } from '../../net/platform-node.ts'

export interface RecordWatch {
  /** Everyone who ever announced blocks as served: `PEER repo@revision start:end`. */
  peers(): string[]
  stop(): Promise<void>
}

export async function watchOnline(relay: string): Promise<RecordWatch> {
  const seen = new Set<string>()
  const node = await createRequestingNode({
    relays: [relay],
    iceServers: [],
    modelDigests: [],
    platform: nodePlatform,
    directory: 'on',
    log: () => undefined,
  })
  const look = (): void => {
    for (const { digest } of node.directory.models()) {
      for (const { peerId, state, span, model } of node.directory.records(digest)) {
        if (state === 'online') seen.add(`${peerId} ${model.repo}@${model.revision} ${span.start}:${span.end}`)
      }
    }
  }
  const unsubscribe = node.directory.onChange(look)
  look()
  return {
    peers: () => [...seen],
    async stop() {
      unsubscribe()
      await node.stop()
    },
  }
}
