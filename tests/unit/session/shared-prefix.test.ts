/**
 * Two chats of one peer with the same long system prompt, over the real serving end and the real WebAssembly engine: the second
 * begins where they part, and says what it says alone.
 */
import { readFileSync } from 'node:fs'
import { createHash } from 'node:crypto'
import { afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { ChatSession } from '../../../session/generate.ts'
import { createInlineSandbox } from '../../../session/model/inline-sandbox.ts'
import { createPromptModel } from '../../../session/model/load.ts'
import { PrefixNamer } from '../../../session/prefix-names.ts'
import { preparePrompt } from '../../../session/prompt.ts'
import type { GenerateEvent, PromptModel } from '../../../session/types.ts'
import { parseLlamaConfig } from '../../../swarm/model/parse-config.ts'
import type { SpanRunner } from '../../../swarm/span-runner.ts'
import { compileKernels } from '../../../web/wasm/kernels.ts'
import { createWasmSpanRunner } from '../../../web/wasm/span-runner.ts'
import { WasmWeights } from '../../../web/wasm/weights.ts'
import { readModel } from '../../reference/model-files.ts'
import { readRepositoryFile } from '../../reference/node-files.ts'
import { putTensors } from '../../support/span-chain.ts'
import { FAKE_DIGEST } from './support/fake-swarm.ts'
import { collect, request } from './support/run.ts'
import { ServedSwarm } from './support/served-swarm.ts'

const FOLDER = 'models/tinytales'
const CACHE_TOKENS = 1024
const SYSTEM = 'You tell short tales about animals, friends and the sea. '.repeat(6)
let model: PromptModel
let runners: SpanRunner[]
let served: ServedSwarm

function json(path: string): unknown {
  return JSON.parse(readFileSync(path, 'utf8'))
}
const config = parseLlamaConfig(json(`${FOLDER}/config.json`))
const half = Math.floor(config.numHiddenLayers / 2)

beforeAll(async () => {
  model = await createPromptModel(
    {
      config: json(`${FOLDER}/config.json`),
      generationConfig: json(`${FOLDER}/generation_config.json`),
      tokenizerJson: json(`${FOLDER}/tokenizer.json`),
      tokenizerConfig: json(`${FOLDER}/tokenizer_config.json`),
    },
    { repo: 'fake', revision: 'r', digest: FAKE_DIGEST, blocks: config.numHiddenLayers },
    createInlineSandbox(),
  )
})

beforeEach(async () => {
  const module = await compileKernels()
  const files = await readModel(readRepositoryFile, FOLDER)
  runners = []
  for (const span of [
    { start: 0, end: half },
    { start: half, end: config.numHiddenLayers },
  ]) {
    const weights = new WasmWeights(config, span, 'f32')
    await putTensors(weights, files, span)
    runners.push(await createWasmSpanRunner(module, weights, { cacheTokens: CACHE_TOKENS }))
  }
  served = new ServedSwarm(config.numHiddenLayers, config.hiddenSize, (span) =>
    runners.find((runner) => runner.span.start === span.start)!,
  )
  served.join('a', 0, half, 1000)
  served.join('b', half, config.numHiddenLayers, 1000)
})
afterEach(() => served.stop())

function namer(): PrefixNamer {
  const sha256 = async (bytes: Uint8Array): Promise<Uint8Array> => createHash('sha256').update(bytes).digest()
  return new PrefixNamer(sha256, crypto.getRandomValues(new Uint8Array(32)))
}

function newChat(prefixes?: PrefixNamer): ChatSession {
  return new ChatSession(served.node(), model, {
    now: () => performance.now(),
    randomBytes: (length) => crypto.getRandomValues(new Uint8Array(length)),
    reserveTokens: 400,
    ...(prefixes === undefined ? {} : { prefixes }),
  })
}

async function ask(chat: ChatSession, question: string) {
  // The model's own template leaves system messages out.
  const messages = [{ role: 'user', content: SYSTEM + question }] as const
  const { ids } = await preparePrompt(model, { kind: 'chat', messages })
  const { events, end } = await collect(chat.generate(request(ids, { maxTokens: 16 })))
  await chat.close()
  return { ids, end, prefill: events.find((event): event is PrefillEvent => event.type === 'prefill') }
}
type PrefillEvent = Extract<GenerateEvent, { type: 'prefill' }>

test('a second chat begins behind the system prompt that both hops have kept, and says the same', async () => {
  const prefixes = namer()
  const first = await ask(newChat(prefixes), 'Tell me of a cat.')
  expect(first.end.timings.reusedTokens).toBe(0)
  const second = await ask(newChat(prefixes), 'Who lives in the sea?')
  const shared = second.ids.findIndex((id, i) => id !== first.ids[i])
  const reused = shared - (shared % 32)
  expect(reused).toBeGreaterThan(32)
  expect(second.end.timings.reusedTokens).toBe(reused)
  expect(second.prefill).toEqual({ type: 'prefill', done: 0, total: second.ids.length - reused, reused })
  const alone = await ask(newChat(), 'Who lives in the sea?')
  expect(alone.end.timings.reusedTokens).toBe(0)
  expect(second.end.ids).toEqual(alone.end.ids)
  expect(runners.map((runner) => runner.status().cacheTokensLeft)).toEqual([CACHE_TOKENS, CACHE_TOKENS])
})

test('another secret shares nothing; what one hop has given up is run again by all', async () => {
  const prefixes = namer()
  const first = await ask(newChat(prefixes), 'Tell me of a cat.')
  expect((await ask(newChat(namer()), 'Tell me of a cat.')).end.timings.reusedTokens).toBe(0)
  const [, last] = runners as [SpanRunner, SpanRunner]
  // Two of the longest sessions leave no room for anything else.
  for (const digit of ['e', 'f']) {
    const session = digit.repeat(32)
    await last.openSession({ session, span: last.span, maxTokens: CACHE_TOKENS / 2 })
  }
  for (const digit of ['e', 'f']) await last.closeSession(digit.repeat(32))
  const again = await ask(newChat(prefixes), 'Tell me of a cat.')
  expect(again.end.timings.reusedTokens).toBe(0)
  expect(again.end.ids).toEqual(first.end.ids)
})

test('nothing is shared over a hop whose rows change with the steps they come in', async () => {
  served.swarm.join('a', 0, half, { blockStepsPerSecond: 1000, exact: false })
  const prefixes = namer()
  for (let i = 0; i < 2; i += 1) {
    expect((await ask(newChat(prefixes), 'Tell me of a cat.')).end.timings.reusedTokens).toBe(0)
  }
})
