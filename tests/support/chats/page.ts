/**
 * Chats that never rest, inside a tab: each asks the same greedy question again and again. What each token and each loss was is
 * kept for `chats.ts`, which builds and opens this page. Times are milliseconds since 1970.
 */
import '../../../net/compat.ts'
import { createRequestingNode } from '../../../net/node.ts'
import { browserPlatform } from '../../../net/platform-browser.ts'
import type { SwarmNode } from '../../../net/types.ts'
import { ChatSession } from '../../../session/generate.ts'
import type { PromptModel } from '../../../session/types.ts'
import { MAX_SESSIONS_PER_PEER } from '../../../swarm/limits.ts'

export interface SeenToken {
  chat: number
  at: number
  /** Since the token before it in the same answer; null for the first one. */
  gapMs: number | null
}

export interface SeenLoss {
  chat: number
  at: number
  reason: string
  /** Given up by the peer itself between two tokens, because it moves, pauses or stops. */
  handedOver: boolean
}

export interface ChatsSeen {
  tokens: SeenToken[]
  losses: SeenLoss[]
  /** Ids of every answer, whole or as far as it came. */
  answers: number[][]
  failures: string[]
  /** Why chats waited, in words. */
  waits: string[]
}

export interface ChatsRequest {
  relays: string[]
  model: PromptModel
  count: number
  promptIds: number[]
  /** An answer's length; then the next begins. */
  newTokens: number
}

const seen: ChatsSeen = { tokens: [], losses: [], answers: [], failures: [], waits: [] }
const nodes: SwarmNode[] = []
const now = (): number => performance.timeOrigin + performance.now()

async function open({ relays, model, count }: ChatsRequest): Promise<void> {
  for (let i = 0; i < Math.ceil(count / MAX_SESSIONS_PER_PEER); i += 1) {
    const node = await createRequestingNode({
      relays,
      iceServers: [],
      modelDigests: [model.id.digest],
      platform: browserPlatform,
      directory: 'on',
      log: (line) => console.debug(line),
    })
    nodes.push(node)
  }
}

/** Begins one more chat; it never ends. */
function begin(request: ChatsRequest, chat: number): void {
  const node = nodes[Math.floor(chat / MAX_SESSIONS_PER_PEER)] as SwarmNode
  void talk(node, request, chat).catch((error: unknown) => {
    seen.failures.push(`chat ${chat}: ${error instanceof Error ? error.message : String(error)}`)
  })
}

async function talk(node: SwarmNode, request: ChatsRequest, chat: number): Promise<never> {
  for (;;) {
    const session = new ChatSession(node, request.model, {
      now: () => performance.now(),
      randomBytes: (length) => crypto.getRandomValues(new Uint8Array(length)),
      reserveTokens: 0,
    })
    try {
      await answer(session, request, chat)
    } finally {
      await session.close()
    }
  }
}

async function answer(session: ChatSession, { promptIds, newTokens }: ChatsRequest, chat: number): Promise<void> {
  const events = session.generate({
    promptIds,
    maxTokens: newTokens,
    sampling: { temperature: 0, topP: 1, topK: 0, repetitionPenalty: 1, seed: 0 },
    stopSequences: [],
    ignoreEos: true,
    signal: new AbortController().signal,
  })
  const ids: number[] = []
  seen.answers.push(ids)
  let last: number | null = null
  for await (const event of events) {
    const at = now()
    if (event.type === 'token') {
      ids.push(event.id)
      seen.tokens.push({ chat, at, gapMs: last === null ? null : at - last })
      last = at
    } else if (event.type === 'lost') {
      seen.losses.push({ chat, at, reason: event.reason, handedOver: event.handedOver === true })
    } else if (event.type === 'paused') seen.waits.push(`chat ${chat}: ${event.reason}`)
    else if (event.type === 'end' && event.finish === 'error') {
      throw new Error(event.error?.message ?? 'an answer without an end')
    }
  }
}

export interface ChatsHandle {
  open(request: ChatsRequest): Promise<void>
  begin(request: ChatsRequest, chat: number): void
  seen(): ChatsSeen
}
const handle: ChatsHandle = { open, begin, seen: () => seen }
Object.assign(globalThis, { chats: handle })
