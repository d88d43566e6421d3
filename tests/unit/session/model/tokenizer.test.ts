import { existsSync, readFileSync } from 'node:fs'
import { describe, expect, test, vi } from 'vitest'
import { createInlineSandbox } from '../../../../session/model/inline-sandbox.ts'
import { createPromptModel } from '../../../../session/model/load.ts'
import { preparePrompt } from '../../../../session/prompt.ts'
import type { ChatMessage, PromptModel } from '../../../../session/types.ts'

// Each takes well under a second; the machine may be busy with other suites.
vi.setConfig({ testTimeout: 30_000 })

interface ReferenceCase {
  kind: 'chat' | 'raw'
  prompt: string
  text: string
  input_ids: number[]
  greedy: number[]
  greedy_text: string
}

const MODELS = [
  { name: 'tinytales', folder: 'models/tinytales', reference: 'tests/fixtures/models/tinytales', blocks: 8 },
  {
    name: 'SmolLM2-135M-Instruct',
    folder: '../shared/models/smollm2-135m-instruct',
    reference: '../shared/models/smollm2-135m-instruct',
    blocks: 30,
  },
]

function json(path: string): unknown {
  return JSON.parse(readFileSync(path, 'utf8'))
}

async function load(folder: string, blocks: number): Promise<PromptModel> {
  return createPromptModel(
    {
      config: json(`${folder}/config.json`),
      generationConfig: json(`${folder}/generation_config.json`),
      tokenizerJson: json(`${folder}/tokenizer.json`),
      tokenizerConfig: json(`${folder}/tokenizer_config.json`),
    },
    { repo: 'a', revision: 'b', digest: 'c', blocks },
    createInlineSandbox(),
  )
}

/** The answer without its end token, as a person sees it. */
function shown(model: PromptModel, ids: readonly number[]): string {
  return model.tokenizer?.decode(ids.filter((id) => !model.eosTokenIds.includes(id))) ?? ''
}

const TEXTS = [
  'Hello, how are you?',
  '안녕하세요, 오늘 기분이 어때요?',
  '👩‍👩‍👧‍👦 family, 🇰🇷 flag, e\u0301 accent',
  'def f(x):\n\treturn  x ** 2\n\n',
  '값 꿿 힣 ㅎㅎ',
  '\ufeffbyte order mark',
]

for (const { name, folder, reference, blocks } of MODELS) {
  if (!existsSync(`${folder}/tokenizer.json`)) {
    test.skip(`${name} (its files are only where ../shared is)`, () => undefined)
    continue
  }
  describe(name, async () => {
    const model = await load(folder, blocks)
    const cases = json(`${reference}/reference.json`) as ReferenceCase[]

    test('the model tells what its blocks cost, the head with the last one', () => {
      const weights = model.unitWeights ?? []
      expect(weights).toHaveLength(blocks)
      expect(new Set(weights.slice(0, -1))).toEqual(new Set([1]))
      expect(weights.at(-1)).toBeGreaterThan(1.5)
    })

    test.each(cases)('$kind prompt $prompt gives the reference ids and text', async (c) => {
      const input =
        c.kind === 'chat'
          ? { kind: 'chat' as const, messages: [{ role: 'user' as const, content: c.prompt }] }
          : { kind: 'raw' as const, text: c.prompt }
      const prepared = await preparePrompt(model, input)
      expect(prepared.form).toBe(c.kind)
      expect(prepared.ids).toEqual(c.input_ids)
      expect(shown(model, c.greedy)).toBe(c.greedy_text)
    })

    test.each(TEXTS)('the stream gives back %j, never a replacement character', async (text) => {
      const ids = await model.tokenizer!.encode(text, false)
      const stream = model.tokenizer!.stream()
      let seen = ''
      for (const id of ids) {
        const piece = stream.push(id)
        expect(piece).not.toContain('\ufffd')
        seen += piece
      }
      expect(seen + stream.flush()).toBe(text)
      // cut anywhere, what is shown is a beginning of the text
      for (let cut = 0; cut <= ids.length; cut += 1) {
        const shownText = model.tokenizer!.decode(ids.slice(0, cut))
        expect(text.startsWith(shownText)).toBe(true)
      }
    })
  })
}

describe('tinytales', async () => {
  const model = await load('models/tinytales', 8)

  test('three turns of a chat give the reference ids', async () => {
    const turns = json('tests/fixtures/models/tinytales/reference-turns.json') as {
      messages: ChatMessage[]
      input_ids: number[]
      greedy: number[]
      greedy_text: string
    }[]
    expect(turns.length).toBe(3)
    for (const turn of turns) {
      const prepared = await preparePrompt(model, { kind: 'chat', messages: turn.messages })
      expect(prepared.ids).toEqual(turn.input_ids)
      expect(shown(model, turn.greedy)).toBe(turn.greedy_text)
    }
  })

  test('generation_config gives end tokens and defaults', () => {
    expect(model.eosTokenIds).toEqual([1, 4])
    expect(model.defaults).toEqual({ temperature: 0.7, topP: 0.95 })
    expect(model.hasChatTemplate).toBe(true)
  })

  test('special tokens are added once', async () => {
    const tokenizer = model.tokenizer!
    expect(await tokenizer.encode('The', true)).toEqual([0, ...(await tokenizer.encode('The', false))])
    expect((await tokenizer.encode('<|begin_of_text|>The', true)).filter((id) => id === 0)).toEqual([0])
    expect(await tokenizer.encode('<|begin_of_text|>The', false)).toEqual(await tokenizer.encode('The', true))
  })

  test('bytes that can never become a character are one replacement character, an open end is nothing', () => {
    const tokenizer = json('models/tinytales/tokenizer.json') as { model: { vocab: Record<string, number> } }
    const byte = (char: string): number => tokenizer.model.vocab[char]!
    const openHangul = byte('ì') // 0xEC, the first of three bytes
    const letter = byte('A')
    expect(model.tokenizer!.decode([openHangul])).toBe('')
    expect(model.tokenizer!.decode([openHangul, letter])).toBe('\ufffdA')
    expect(model.tokenizer!.decode([2, letter, 4])).toBe('A')
  })

  test('a chat is refused when it is empty, too long, or has no room left', async () => {
    const ask = (content: string): Promise<unknown> =>
      preparePrompt(model, { kind: 'chat', messages: [{ role: 'user', content }] })
    await expect(ask('  \n')).rejects.toMatchObject({ code: 'EMPTY_PROMPT' })
    await expect(ask('word '.repeat(1100))).rejects.toMatchObject({ code: 'PROMPT_TOO_LONG' })
    await expect(ask('x'.repeat(1_000_001))).rejects.toMatchObject({ code: 'PROMPT_TOO_LONG' })
    const messages: ChatMessage[] = [
      { role: 'user', content: 'Hello!' },
      { role: 'assistant', content: 'word '.repeat(1100) },
      { role: 'user', content: 'More.' },
    ]
    await expect(preparePrompt(model, { kind: 'chat', messages })).rejects.toMatchObject({
      code: 'CONTEXT_FULL',
      details: { maxTokens: 1024 },
    })
    const room = { kind: 'ids' as const, ids: Array.from({ length: 1023 }, () => 5) }
    expect((await preparePrompt(model, room)).ids.length).toBe(1023)
    await expect(preparePrompt(model, { kind: 'ids', ids: [2048] })).rejects.toMatchObject({ code: 'BAD_TOKEN_ID' })
    await expect(preparePrompt(model, { kind: 'ids', ids: [] })).rejects.toMatchObject({ code: 'EMPTY_PROMPT' })
  })
})
