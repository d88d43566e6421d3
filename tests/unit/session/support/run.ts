/** Drives a `ChatSession` over the swarm in memory with a virtual clock, and collects what it reports. */
import { vi } from 'vitest'
import { ChatSession, type ChatSessionOptions } from '../../../../session/generate.ts'
import type { GenerateEvent, GenerateRequest, PromptModel } from '../../../../session/types.ts'
import { FAKE_EOS, FAKE_VOCAB } from './fake-engine.ts'
import { FAKE_DIGEST, type FakeSwarm } from './fake-swarm.ts'

/** Timers fire as soon as nothing else is to be done: three virtual seconds of silence take no time. */
export function useVirtualTime(): void {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] })
  vi.setTimerTickMode('nextTimerAsync')
}

export function fakeModel(swarm: FakeSwarm, change: Partial<PromptModel> = {}): PromptModel {
  return {
    id: { repo: 'fake', revision: 'r', digest: FAKE_DIGEST, blocks: swarm.blocks },
    maxPositionEmbeddings: 512,
    vocabSize: FAKE_VOCAB,
    hiddenSize: 1,
    eosTokenIds: [FAKE_EOS],
    defaults: {},
    tokenizer: null,
    hasChatTemplate: false,
    ...change,
  }
}

export function newChat(
  swarm: FakeSwarm,
  model: PromptModel = fakeModel(swarm),
  seed = 1,
  options: Pick<ChatSessionOptions, 'mixWeights' | 'draft'> = {},
): ChatSession {
  let state = seed
  return new ChatSession(swarm.node(), model, {
    ...options,
    now: () => performance.now(),
    randomBytes: (length) =>
      Uint8Array.from({ length }, () => {
        state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0
        return state >>> 16
      }),
  })
}

export function request(promptIds: readonly number[], change: Partial<GenerateRequest> = {}): GenerateRequest {
  return {
    promptIds,
    maxTokens: 12,
    sampling: { temperature: 0, topP: 1, topK: 0, repetitionPenalty: 1, seed: 1 },
    stopSequences: [],
    ignoreEos: false,
    signal: new AbortController().signal,
    ...change,
  }
}

export type EndEvent = Extract<GenerateEvent, { type: 'end' }>

/** All events; `onEvent` may disturb the swarm between two. */
export async function collect(
  generator: AsyncGenerator<GenerateEvent, void>,
  onEvent: (event: GenerateEvent) => void = () => undefined,
): Promise<{ events: GenerateEvent[]; end: EndEvent; types: string[] }> {
  const events: GenerateEvent[] = []
  for await (const event of generator) {
    events.push(event)
    onEvent(event)
  }
  const end = events.at(-1)
  if (end?.type !== 'end') throw new Error('the generator ended without an end event')
  return { events, end, types: events.map((event) => event.type) }
}
