/** A requesting peer in this process: joins through relays, talks to tabs directly, serves nothing. */
import { createRequestingNode } from '../../net/node.ts'
import { nodePlatform } from '../../net/platform-node.ts'
import type { SwarmNode } from '../../net/types.ts'

export interface RequestingOptions {
  relays: readonly string[]
  iceServers: readonly { urls: string }[]
  modelDigest: string
  directory: 'on' | 'off'
  /** Also tells what goes on between peers. */
  verbose: boolean
  log: (line: string) => void
}

export async function startRequestingNode(options: RequestingOptions): Promise<SwarmNode> {
  return createRequestingNode({
    relays: [...options.relays],
    iceServers: [...options.iceServers],
    modelDigests: [options.modelDigest],
    platform: nodePlatform,
    directory: options.directory,
    log: options.log,
    ...(options.verbose ? { debug: options.log } : {}),
  })
}
