import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { createInlineSandbox } from '../../../../session/model/inline-sandbox.ts'
import { createPromptModel, type PromptFiles } from '../../../../session/model/load.ts'
import { samplingFor } from '../../../../session/model/defaults.ts'
import { preparePrompt } from '../../../../session/prompt.ts'
import type { PromptModel } from '../../../../session/types.ts'

function json(path: string): Record<string, unknown> {
  return JSON.parse(readFileSync(path, 'utf8')) as Record<string, unknown>
}
const CONFIG = json('models/tinytales/config.json')
const TOKENIZER = json('models/tinytales/tokenizer.json')
const ID = { repo: 'a', revision: 'b', digest: 'c', blocks: 8 }

function load(change: Partial<PromptFiles>): Promise<PromptModel> {
  const files = { config: CONFIG, generationConfig: null, tokenizerJson: TOKENIZER, tokenizerConfig: null, ...change }
  return createPromptModel(files, ID, createInlineSandbox())
}
function withModel(change: Record<string, unknown>): Record<string, unknown> {
  return { ...TOKENIZER, model: { ...(TOKENIZER['model'] as object), ...change } }
}

describe('a tokenizer is refused when', () => {
  test.each<[string, unknown]>([
    ['it is a list', []],
    ['it is a text', 'tokenizer'],
    ['it has no model', {}],
    ['its model is of another kind', withModel({ type: 'Magic' })],
    ['its vocabulary is empty', withModel({ vocab: {} })],
    ['its vocabulary is a number', withModel({ vocab: 7 })],
    ['an id is not a number', withModel({ vocab: { a: 'x' } })],
    ['an id is negative', withModel({ vocab: { a: -1 } })],
    ['an id is beyond every vocabulary', withModel({ vocab: { a: 512_000 } })],
    ['an id is a fraction', withModel({ vocab: { a: 0.5 } })],
    ['a token is longer than 4096 characters', withModel({ vocab: { ['a'.repeat(4097)]: 0 } })],
    ['merges are missing', withModel({ merges: null })],
    ['a merge is half a pair', withModel({ merges: ['a'] })],
    ['a merge is a number', withModel({ merges: [3] })],
    ['an added token has no content', { ...TOKENIZER, added_tokens: [{ id: 1 }] }],
    ['an added token has no id', { ...TOKENIZER, added_tokens: [{ content: 'x' }] }],
    ['added tokens are no list', { ...TOKENIZER, added_tokens: {} }],
    ['its decoder is unknown', { ...TOKENIZER, decoder: { type: 'CTC' } }],
    ['its normalizer is unknown', { ...TOKENIZER, normalizer: { type: 'Nope' } }],
    [
      'its pattern does not compile',
      {
        ...TOKENIZER,
        pre_tokenizer: { type: 'Split', pattern: { Regex: '(((' }, behavior: 'Isolated', invert: false },
      },
    ],
  ])('%s', async (_, tokenizerJson) => {
    await expect(load({ tokenizerJson })).rejects.toMatchObject({ code: 'BAD_TOKENIZER' })
  })

  test('it gives ids that the model does not have', async () => {
    const model = await load({ config: { ...CONFIG, vocab_size: 100 } })
    await expect(model.tokenizer!.encode('Once upon a time', false)).rejects.toMatchObject({ code: 'BAD_TOKENIZER' })
  })
})

describe('templates', () => {
  const messages = [{ role: 'user' as const, content: 'Hi' }]

  test('a text or a named list', async () => {
    const list = [
      { name: 'tool_use', template: 'no' },
      { name: 'default', template: 'list:{{ messages[0].content }}' },
    ]
    const render = async (change: Partial<PromptFiles>): Promise<string> =>
      (await load(change)).tokenizer!.applyChatTemplate(messages)
    expect(await render({ tokenizerConfig: { chat_template: 'text:{{ messages[0].content }}' } })).toBe('text:Hi')
    expect(await render({ tokenizerConfig: { chat_template: list } })).toBe('list:Hi')
    const bos = { chat_template: '{{ bos_token }}{{ eos_token }}', bos_token: { content: '<s>' }, eos_token: '</s>' }
    expect(await render({ tokenizerConfig: bos })).toBe('<s></s>')
  })

  test.each([
    ['{% for %}', 'does not parse'],
    ["{{ raise_exception('roles must alternate') }}", 'roles must alternate'],
    ["{% for i in range(2000) %}{{ '" + 'y'.repeat(1000) + "' }}{% endfor %}", 'characters'],
  ])('a template that fails (case %#) is BAD_TEMPLATE and raw prompts still work', async (template, reason) => {
    const model = await load({ tokenizerConfig: { chat_template: template } })
    await expect(model.tokenizer!.applyChatTemplate(messages)).rejects.toMatchObject({
      code: 'BAD_TEMPLATE',
      message: expect.stringContaining(reason) as string,
    })
    expect((await preparePrompt(model, { kind: 'raw', text: 'Hi' })).ids.length).toBeGreaterThan(0)
  })

  test('a model without a template is prompted raw, and says so', async () => {
    const model = await load({})
    expect(model.hasChatTemplate).toBe(false)
    const prepared = await preparePrompt(model, { kind: 'chat', messages })
    expect(prepared).toEqual({ form: 'raw', ids: await model.tokenizer!.encode('Hi', true) })
  })

  test('a model without a tokenizer takes ids only', async () => {
    const model = await load({ tokenizerJson: null })
    expect(model.tokenizer).toBeNull()
    await expect(preparePrompt(model, { kind: 'raw', text: 'Hi' })).rejects.toMatchObject({ code: 'NO_TOKENIZER' })
    expect((await preparePrompt(model, { kind: 'ids', ids: [1, 2] })).form).toBe('ids')
  })
})

describe('the begin-of-text token', () => {
  test.each([
    [{ tokenizer_class: 'PreTrainedTokenizerFast', add_bos_token: false }, [0]],
    [{ tokenizer_class: 'LlamaTokenizer' }, [0]],
    [{ tokenizer_class: 'LlamaTokenizerFast', add_bos_token: false }, []],
    [{ tokenizer_class: 'LlamaTokenizer', add_eos_token: true }, [0], [4]],
  ])('%j', async (change, before, after: number[] = []) => {
    const tokenizerConfig = { bos_token: '<|begin_of_text|>', eos_token: '<|end|>', ...change }
    const { tokenizer } = await load({ tokenizerConfig })
    const plain = await tokenizer!.encode('Hi', false)
    expect(await tokenizer!.encode('Hi', true)).toEqual([...before, ...plain, ...after])
  })
})

describe('sampling numbers', () => {
  test.each([
    [{ do_sample: false, temperature: 0.7 }, 0],
    [{ temperature: 0.7 }, 0.7],
    [{ do_sample: true }, 1],
    [{}, 0],
  ])('generation_config %j means temperature %d', async (generationConfig, temperature) => {
    const model = await load({ generationConfig })
    expect(samplingFor(model, {}, 9)).toMatchObject({ temperature, topP: 1, seed: 9 })
    expect(samplingFor(model, { temperature: 0.3, seed: 2 }, 9)).toMatchObject({ temperature: 0.3, seed: 2 })
  })

  test.each([
    { temperature: -1 },
    { topP: 0 },
    { topP: 1.1 },
    { topK: 0.5 },
    { repetitionPenalty: 0 },
    { seed: -1 },
    { temperature: NaN },
  ])('%j is refused', async (asked) => {
    const model = await load({})
    expect(() => samplingFor(model, asked, 1)).toThrow(expect.objectContaining({ code: 'BAD_OPTION' }))
  })

  test('end tokens come from generation_config, else from config', async () => {
    expect((await load({ generationConfig: { eos_token_id: 7 } })).eosTokenIds).toEqual([7])
    expect((await load({ config: { ...CONFIG, eos_token_id: [5, 6] } })).eosTokenIds).toEqual([5, 6])
  })
})

test('SentencePiece: space marks, byte fallback, the first space is the tokenizer’s', async () => {
  const vocab = ['<unk>', '<s>', '</s>', '▁Hi', '▁there', '<0xEC>', '<0x95>', '<0x88>', '!']
  const tokenizerJson = {
    added_tokens: [0, 1, 2].map((id) => ({ id, content: vocab[id], special: true })),
    normalizer: { type: 'Prepend', prepend: '▁' },
    pre_tokenizer: null,
    post_processor: null,
    model: {
      type: 'BPE',
      vocab: Object.fromEntries(vocab.map((text, id) => [text, id])),
      merges: [],
      byte_fallback: true,
      unk_token: '<unk>',
    },
    decoder: {
      type: 'Sequence',
      decoders: [
        { type: 'Replace', pattern: { String: '▁' }, content: ' ' },
        { type: 'ByteFallback' },
        { type: 'Fuse' },
        { type: 'Strip', content: ' ', start: 1, stop: 0 },
      ],
    },
  }
  const { tokenizer } = await load({ tokenizerJson })
  expect(tokenizer!.decode([1, 3, 4, 5, 6, 7, 8, 2])).toBe('Hi there안!')
  expect(tokenizer!.decode([1, 3, 4, 5, 6])).toBe('Hi there')
})
