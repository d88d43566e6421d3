/** A node that takes sessions. Apart from `node.ts`, so that a page that only asks does not load the serving end. */
import { createNode, type NodeOptions, type PageLife, type Reserving } from './node.ts'
import { FrameServer } from './serve/server.ts'
import type { ServingNode } from './types.ts'

export async function createServingNode(options: NodeOptions): Promise<ServingNode & PageLife & Reserving> {
  return await createNode(options, (serverOptions) => new FrameServer(serverOptions))
}
