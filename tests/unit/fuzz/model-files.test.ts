/** What a model repository holds: headers, indexes, configs, tokenizers, templates. */
import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { parseJsonFile } from '../../../hub/text.ts'
import { createInlineSandbox } from '../../../session/model/inline-sandbox.ts'
import { createPromptModel } from '../../../session/model/load.ts'
import { preparePrompt } from '../../../session/prompt.ts'
import { parseGenerationConfig, parseLlamaConfig } from '../../../swarm/model/parse-config.ts'
import { parseSafetensorsIndex } from '../../../swarm/model/safetensors-index.ts'
import { parseSafetensorsHeader, readHeaderLength } from '../../../swarm/model/safetensors.ts'
import { buildSafetensors } from '../../support/safetensors-builder.ts'
import { fuzz, FUZZ_TIMEOUT_MS, mutatedBytes, mutatedJson, mutatedText } from './fuzz.ts'

const TINYTALES = 'models/tinytales'
function json(file: string): Record<string, unknown> {
  return JSON.parse(readFileSync(`${TINYTALES}/${file}`, 'utf8')) as Record<string, unknown>
}
const CONFIG = json('config.json')
const TEMPLATE = String(json('tokenizer_config.json')['chat_template'])

test(
  'safetensors headers',
  async () => {
    const seed = buildSafetensors({
      a: { dtype: 'F32', shape: [2], data: new Uint8Array(8) },
      b: { dtype: 'F16', shape: [1, 3], data: new Uint8Array(6) },
      c: { dtype: 'BF16', shape: [], data: new Uint8Array(2) },
    })
    const { taken, refused } = await fuzz(mutatedBytes([seed]), (bytes) => {
      const length = readHeaderLength('model.safetensors', bytes.subarray(0, 8), bytes.length)
      parseSafetensorsHeader('model.safetensors', bytes.subarray(8, 8 + length), bytes.length)
    })
    expect(taken).toBeGreaterThan(0)
    expect(refused).toBeGreaterThan(0)
  },
  FUZZ_TIMEOUT_MS,
)

test(
  'the index of a sharded checkpoint',
  async () => {
    const seed = readFileSync(`${TINYTALES}/model.safetensors.index.json`, 'utf8').slice(0, 600)
    const whole =
      '{"metadata":{"total_size":8},"weight_map":{"a":"model-00001-of-00002.safetensors","b":"x.safetensors"}}'
    const { taken, refused } = await fuzz(mutatedText([whole, seed]), (text) => {
      for (const shard of parseSafetensorsIndex(text).values()) expect(shard).not.toMatch(/[/\\]|\.\.|^\./u)
    })
    expect(taken).toBeGreaterThan(0)
    expect(refused).toBeGreaterThan(0)
  },
  FUZZ_TIMEOUT_MS,
)

test(
  'config.json and generation_config.json, as texts and as values',
  async () => {
    const generation = json('generation_config.json')
    const texts = [JSON.stringify(CONFIG), JSON.stringify(generation)]
    const read = (value: unknown): void => {
      parseGenerationConfig(value)
      parseLlamaConfig(value)
    }
    await fuzz(mutatedText(texts), (text) => read(parseJsonFile('config.json', text)))
    const scaled = {
      ...CONFIG,
      rope_scaling: {
        rope_type: 'llama3',
        factor: 8,
        low_freq_factor: 1,
        high_freq_factor: 4,
        original_max_position_embeddings: 64,
      },
    }
    const { taken, refused } = await fuzz(mutatedJson([CONFIG, scaled, generation]), read)
    expect(taken).toBeGreaterThan(0)
    expect(refused).toBeGreaterThan(0)
  },
  2 * FUZZ_TIMEOUT_MS,
)

/** The characters that stand for the 256 bytes in byte-level vocabularies. */
function byteLevelAlphabet(): string[] {
  let others = 0
  return Array.from({ length: 256 }, (_, byte) => {
    const isShown = (byte > 0x20 && byte < 0x7f) || (byte > 0xa0 && byte !== 0xad)
    return String.fromCharCode(isShown ? byte : 0x100 + others++)
  })
}
const VOCABULARY = ['<s>', '</s>', ...byteLevelAlphabet(), 'he', 'll', 'hell', 'hello']

/** Small, so that a run takes a moment; of the same parts as published ones. */
const TOKENIZER = {
  version: '1.0',
  truncation: null,
  padding: null,
  added_tokens: [
    { id: 0, content: '<s>', special: true, single_word: false, lstrip: false, rstrip: false, normalized: false },
    { id: 1, content: '</s>', special: true, single_word: false, lstrip: false, rstrip: false, normalized: false },
  ],
  normalizer: { type: 'Sequence', normalizers: [{ type: 'NFC' }, { type: 'Prepend', prepend: 'x' }] },
  pre_tokenizer: {
    type: 'Sequence',
    pretokenizers: [
      { type: 'Split', pattern: { Regex: '\\p{L}+|\\p{N}{1,3}|\\s+' }, behavior: 'Isolated', invert: false },
      { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: false },
    ],
  },
  post_processor: {
    type: 'TemplateProcessing',
    single: [{ SpecialToken: { id: '<s>', type_id: 0 } }, { Sequence: { id: 'A', type_id: 0 } }],
    pair: [],
    special_tokens: { '<s>': { id: '<s>', ids: [0], tokens: ['<s>'] } },
  },
  decoder: { type: 'Sequence', decoders: [{ type: 'ByteLevel' }, { type: 'Strip', content: ' ', start: 1, stop: 0 }] },
  model: {
    type: 'BPE',
    dropout: null,
    unk_token: null,
    continuing_subword_prefix: null,
    end_of_word_suffix: null,
    fuse_unk: false,
    byte_fallback: false,
    vocab: Object.fromEntries(VOCABULARY.map((token, id) => [token, id])),
    merges: ['h e', 'l l', 'he ll', 'hell o'],
  },
}
const MODEL_ID = { repo: 'a', revision: 'b', digest: 'c', blocks: Number(CONFIG['num_hidden_layers']) }

async function promptWith(tokenizerJson: unknown, tokenizerConfig: unknown): Promise<void> {
  const files = { config: CONFIG, generationConfig: null, tokenizerJson, tokenizerConfig }
  const model = await createPromptModel(files, MODEL_ID, createInlineSandbox())
  const { ids } = await preparePrompt(model, { kind: 'chat', messages: [{ role: 'user', content: 'hello 안녕 12' }] })
  const stream = model.tokenizer?.stream()
  for (const id of ids) stream?.push(id)
}

test(
  'tokenizer.json and tokenizer_config.json',
  async () => {
    const config = { bos_token: '<s>', eos_token: { content: '</s>' }, add_bos_token: true, chat_template: TEMPLATE }
    // Merges are written in two ways.
    const pairs = TOKENIZER.model.merges.map((merge) => merge.split(' '))
    const other = { ...TOKENIZER, model: { ...TOKENIZER.model, merges: pairs } }
    const both = mutatedJson([
      { tokenizer: TOKENIZER, config },
      { tokenizer: other, config },
    ])
    const { taken, refused } = await fuzz(both, async (files) => {
      const { tokenizer, config: tokenizerConfig } = (files ?? {}) as { tokenizer?: unknown; config?: unknown }
      await promptWith(tokenizer, tokenizerConfig)
    })
    expect(taken).toBeGreaterThan(0)
    expect(refused).toBeGreaterThan(0)
  },
  FUZZ_TIMEOUT_MS,
)

test(
  'chat templates',
  async () => {
    const seeds = [
      TEMPLATE,
      "{% for m in messages %}{{ '<|' + m['role'] + '|>' + m.content | trim + eos_token }}{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}",
      '{%- set ns = namespace(n=0) -%}{%- for m in messages -%}{%- set ns.n = ns.n + 1 -%}{{ m | tojson }}{%- endfor -%}{% macro f(x) %}{{ x }}{% endmacro %}{{ f(ns.n) }}',
    ]
    const { taken, refused } = await fuzz(mutatedText(seeds), (template) =>
      promptWith(TOKENIZER, { bos_token: '<s>', eos_token: '</s>', chat_template: template }),
    )
    expect(taken).toBeGreaterThan(0)
    expect(refused).toBeGreaterThan(0)
  },
  FUZZ_TIMEOUT_MS,
)
