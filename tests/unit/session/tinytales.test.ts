/**
 * The embedded model through everything but the GPU and the wires: tokenizer, template, route over four hops, the real
 * serving end, the reference engine, sampler, decoder. The text must be that of the independent implementation.
 */
import { readFileSync } from 'node:fs'
import { afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { ChatSession } from '../../../session/generate.ts'
import { createInlineSandbox } from '../../../session/model/inline-sandbox.ts'
import { createPromptModel } from '../../../session/model/load.ts'
import { preparePrompt } from '../../../session/prompt.ts'
import type { ChatMessage, PromptModel } from '../../../session/types.ts'
import { parseLlamaConfig } from '../../../swarm/model/parse-config.ts'
import { allF32, readModel } from '../../reference/model-files.ts'
import { readRepositoryFile } from '../../reference/node-files.ts'
import { createReferenceRunner } from '../../reference/runner.ts'
import { FAKE_DIGEST } from './support/fake-swarm.ts'
import { collect, request } from './support/run.ts'
import { ServedSwarm } from './support/served-swarm.ts'

const FOLDER = 'models/tinytales'
const REFERENCE = 'tests/fixtures/models/tinytales'
const config = parseLlamaConfig(json(`${FOLDER}/config.json`))
let tensors: Map<string, Float32Array>
let model: PromptModel
let served: ServedSwarm

function json(path: string): unknown {
  return JSON.parse(readFileSync(path, 'utf8'))
}

beforeAll(async () => {
  tensors = allF32((await readModel(readRepositoryFile, FOLDER)).tensors)
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

beforeEach(() => {
  served = new ServedSwarm(config.numHiddenLayers, config.hiddenSize, (span) =>
    createReferenceRunner(config, tensors, span, { cacheTokens: 4096 }),
  )
  for (const [i, name] of ['a', 'b', 'c', 'd'].entries()) served.join(name, i * 2, i * 2 + 2, 1000)
  served.join('b2', 2, 4, 10)
})
afterEach(() => served.stop())

function newChat(): ChatSession {
  return new ChatSession(served.node(), model, {
    now: () => performance.now(),
    randomBytes: (length) => crypto.getRandomValues(new Uint8Array(length)),
  })
}

test('three turns of a chat say what the reference says, each prefilling only what is new', async () => {
  const turns = json(`${REFERENCE}/reference-turns.json`) as {
    messages: ChatMessage[]
    input_ids: number[]
    greedy: number[]
    greedy_text: string
  }[]
  const chat = newChat()
  let held = 0
  for (const turn of turns) {
    const { ids } = await preparePrompt(model, { kind: 'chat', messages: turn.messages })
    const { end } = await collect(chat.generate(request(ids, { maxTokens: 200 })))
    expect(end.text).toBe(turn.greedy_text)
    expect(end).toMatchObject({ ids: turn.greedy, finish: 'stop', timings: { reusedTokens: held } })
    expect(end.route.length).toBe(4)
    // All but the end token, which was never run.
    held = ids.length + end.ids.length - 1
  }
}, 60_000)

test('a hop is lost in the middle of a Korean answer: the same text, no broken character on the way', async () => {
  const cases = json(`${REFERENCE}/reference.json`) as {
    prompt: string
    input_ids: number[]
    greedy: number[]
    greedy_text: string
  }[]
  const korean = cases.find((c) => c.prompt === '안녕하세요')!
  const { events, end } = await collect(newChat().generate(request(korean.input_ids, { maxTokens: 100 })), (event) => {
    if (event.type === 'token' && event.index === 3) served.lose('b')
  })
  expect(end).toMatchObject({ ids: korean.greedy, text: korean.greedy_text })
  expect(end.timings.failovers).toBe(1)
  let shown = ''
  for (const event of events) if (event.type === 'token') shown += event.text
  expect(shown).toBe(korean.greedy_text)
  expect(shown).not.toContain('\ufffd')
}, 60_000)

test('a stop sequence in the text ends the answer before it', async () => {
  const cases = json(`${REFERENCE}/reference.json`) as { prompt: string; input_ids: number[]; greedy_text: string }[]
  const hello = cases[0]!
  const { end } = await collect(
    newChat().generate(request(hello.input_ids, { maxTokens: 100, stopSequences: ['. Would'] })),
  )
  expect(end).toMatchObject({ finish: 'stop', text: hello.greedy_text.split('. Would')[0] })
}, 60_000)

test('guesses from a text that repeats: the same text in fewer laps', async () => {
  const cases = json(`${REFERENCE}/reference.json`) as { prompt: string; input_ids: number[]; greedy: number[] }[]
  const hello = cases[0]!
  // Told once, the story is told again.
  const prompt = [...hello.input_ids, ...hello.greedy, ...hello.input_ids]
  const asked = { maxTokens: 24, ignoreEos: true }
  const plain = await collect(newChat().generate(request(prompt, asked)))
  const { end } = await collect(newChat().generate(request(prompt, { ...asked, speculate: 4 })))
  expect(end).toMatchObject({ finish: plain.end.finish, ids: plain.end.ids, text: plain.end.text })
  expect(end.timings.speculation!.accepted).toBeGreaterThan(0)
  expect(end.timings.speculation!.laps).toBeLessThan(end.ids.length)
}, 60_000)
