/**
 * Checkpoints as others write them: the fixtures' numbers in other shards, dtypes, config styles and company. What a model
 * computes does not change by any of it, so the greedy ids are those of the fixture's independent reference, through
 * `tabswarm start` and two tabs.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { readParts, writeSharded, writeSingle, type ModelParts } from '../support/model-folders.ts'
import { makeTempDir, removeTempDir, REPO_ROOT, runTabswarm } from '../support/processes.ts'
import type { BuiltTensor } from '../support/safetensors-builder.ts'
import { tinytalesCase } from '../support/swarm.ts'

const EMBEDDING = 'model.embed_tokens.weight'
const HEAD = 'lm_head.weight'

let folder: string
beforeAll(() => {
  folder = makeTempDir('others')
})
afterAll(() => removeTempDir(folder))

interface Variant {
  name: string
  base: string
  change: (parts: ModelParts) => void
  shards?: number
  metadata?: Record<string, string>
}

function rename(config: Record<string, unknown>, from: string, to: string): void {
  config[to] = config[from]
  delete config[from]
}

/** Exact: every bf16 number is an f32 number. */
function widen({ shape, data }: BuiltTensor): BuiltTensor {
  const wide = Buffer.alloc(data.length * 2)
  for (let i = 0; i < data.length; i += 2) Buffer.from(data).copy(wide, i * 2 + 2, i, i + 2)
  return { dtype: 'F32', shape, data: wide }
}

function copyOfEmbedding({ tensors }: ModelParts): void {
  tensors[HEAD] = { ...(tensors[EMBEDDING] as BuiltTensor) }
}

const FIXTURES: Variant[] = [
  { name: 'f32-in-three-shards', base: 'plain-tied-f32', change: () => undefined, shards: 3 },
  { name: 'f16-in-shards', base: 'mha-f16', change: () => undefined, shards: 4 },
  { name: 'bf16-untied-in-one-file', base: 'untied-bf16-sharded', change: () => undefined, metadata: { format: 'pt' } },
  {
    name: 'bf16-with-norms-in-f32',
    base: 'untied-bf16-sharded',
    change({ tensors }) {
      for (const [name, tensor] of Object.entries(tensors)) if (name.includes('norm')) tensors[name] = widen(tensor)
    },
    shards: 2,
  },
  {
    name: 'bf16-as-f32',
    base: 'llama3-rope-bf16',
    change({ tensors, config }) {
      for (const [name, tensor] of Object.entries(tensors)) tensors[name] = widen(tensor)
      // What the config says of the dtype is a hint only.
      config['dtype'] = 'bfloat16'
    },
  },
  { name: 'tied-head-saved-anyway', base: 'plain-tied-f32', change: copyOfEmbedding },
  {
    name: 'untied-by-default',
    base: 'plain-tied-f32',
    change(parts) {
      copyOfEmbedding(parts)
      delete parts.config['tie_word_embeddings']
    },
    shards: 2,
  },
  {
    name: 'with-strangers',
    base: 'plain-tied-f32',
    change({ tensors }) {
      tensors['model.layers.0.self_attn.rotary_emb.inv_freq'] = { dtype: 'F32', shape: [8], data: new Uint8Array(32) }
      tensors['position_ids'] = { dtype: 'I64', shape: [1, 4], data: new Uint8Array(32) }
      tensors['step'] = { dtype: 'I64', shape: [], data: new Uint8Array(8) }
      tensors['nothing'] = { dtype: 'U8', shape: [0, 3], data: new Uint8Array(0) }
      tensors['score.weight'] = { dtype: 'F8_E4M3', shape: [3, 3], data: new Uint8Array(9) }
    },
    metadata: { format: 'pt', total_parameters: '1' },
  },
  {
    name: 'newer-config',
    base: 'plain-tied-f32',
    change({ config }) {
      rename(config, 'torch_dtype', 'dtype')
      config['rope_parameters'] = { rope_type: 'default', rope_theta: config['rope_theta'] }
      delete config['rope_theta']
      delete config['rope_scaling']
      config['layer_types'] = ['full_attention', 'full_attention', 'full_attention']
    },
  },
  {
    name: 'older-config',
    base: 'llama3-rope-bf16',
    change({ config }) {
      const { rope_theta: theta, rope_type: type, ...scaling } = config['rope_parameters'] as Record<string, unknown>
      config['rope_theta'] = theta
      config['rope_scaling'] = { ...scaling, type }
      delete config['rope_parameters']
      rename(config, 'dtype', 'torch_dtype')
    },
    shards: 2,
  },
  {
    name: 'as-little-as-possible',
    base: 'mha-f16',
    change(parts) {
      const keep = [
        'architectures',
        'head_dim',
        'hidden_size',
        'intermediate_size',
        'num_attention_heads',
        'num_hidden_layers',
      ]
      const { config } = parts
      const more = ['vocab_size', 'rms_norm_eps', 'tie_word_embeddings', 'max_position_embeddings']
      parts.config = {
        ...Object.fromEntries([...keep, ...more].map((key) => [key, config[key]])),
        num_key_value_heads: null,
        rope_scaling: null,
        eos_token_id: [2, 7],
        sliding_window: null,
        quantization_config: null,
      }
      parts.files = {}
    },
  },
  {
    name: 'a-long-context',
    base: 'plain-tied-f32',
    change({ config }) {
      config['head_dim'] = null
      config['max_position_embeddings'] = 131_072
      config['eos_token_id'] = [2, 3]
    },
  },
]

function write(variant: Variant): void {
  const parts = readParts(variant.base)
  variant.change(parts)
  const target = join(folder, 'others', variant.name)
  if (variant.shards === undefined) writeSingle(target, parts, variant.metadata)
  else writeSharded(target, parts, variant.shards)
}

interface Answer {
  ids: number[]
  text: string
  route: unknown[]
}

async function start(name: string, args: readonly string[]): Promise<{ answer: Answer; stderr: string }> {
  const { code, stdout, stderr } = await runTabswarm(
    [
      'start',
      '--models-dir',
      folder,
      '--model',
      `others/${name}`,
      '--tabs',
      '2',
      '--temperature',
      '0',
      '--json',
      ...args,
    ],
    { timeoutMs: 240_000 },
  )
  expect(code, stderr).toBe(0)
  return { answer: JSON.parse(stdout) as Answer, stderr }
}

describe('the fixtures, written otherwise', () => {
  test.each(FIXTURES)('$name', async (variant) => {
    write(variant)
    const path = join(REPO_ROOT, 'tests/fixtures/models', variant.base, 'reference.json')
    const { input_ids: ids, greedy } = JSON.parse(readFileSync(path, 'utf8')) as {
      input_ids: number[]
      greedy: number[]
    }
    const { answer } = await start(variant.name, [
      '--prompt-ids',
      ids.join(','),
      '--max-tokens',
      String(greedy.length),
      '--ignore-eos',
    ])
    expect(answer.ids).toEqual(greedy)
    expect(answer.route).toHaveLength(2)
  })
})

const HELLO = tinytalesCase('Hello, how are you?')

describe('the embedded model with other small files', () => {
  const variants: Variant[] = [
    {
      name: 'template-in-a-file-of-its-own',
      base: 'models/tinytales',
      change({ files }) {
        const config = JSON.parse(files['tokenizer_config.json'] ?? '') as Record<string, unknown>
        files['chat_template.jinja'] = String(config['chat_template'])
        delete config['chat_template']
        files['tokenizer_config.json'] = JSON.stringify(config)
      },
    },
    {
      name: 'no-generation-config-and-more-rows-than-words',
      base: 'models/tinytales',
      change({ files, config, tensors }) {
        files['generation_config.json'] = null
        const table = tensors[EMBEDDING] as BuiltTensor
        const [rows = 0, columns = 0] = table.shape
        const data = new Uint8Array((rows + 60) * columns * 2)
        data.set(table.data)
        tensors[EMBEDDING] = { ...table, shape: [rows + 60, columns], data }
        config['vocab_size'] = rows + 60
        expect(config['tie_word_embeddings']).toBe(true)
      },
      shards: 2,
    },
  ]
  test.each(variants)('$name', async (variant) => {
    write(variant)
    const { answer } = await start(variant.name, ['--prompt', HELLO.prompt])
    expect(answer.ids).toEqual(HELLO.greedy)
    expect(answer.text).toBe(HELLO.greedy_text)
  })

  test('without a chat template it is prompted raw, and says so', async () => {
    write({
      name: 'no-template',
      base: 'models/tinytales',
      change({ files }) {
        const config = JSON.parse(files['tokenizer_config.json'] ?? '') as Record<string, unknown>
        delete config['chat_template']
        files['tokenizer_config.json'] = JSON.stringify(config)
      },
    })
    const { answer, stderr } = await start('no-template', ['--prompt', 'Once upon a time', '--max-tokens', '8'])
    expect(stderr).toContain('others/no-template has no chat template: it is prompted raw.')
    expect(answer.ids).toHaveLength(8)
  })

  test('without a tokenizer text is refused with what to do instead', async () => {
    write({
      name: 'no-tokenizer',
      base: 'models/tinytales',
      change(parts) {
        parts.files = {}
      },
    })
    const { code, stderr } = await runTabswarm(
      ['start', '--models-dir', folder, '--model', 'others/no-tokenizer', '--tabs', '1', '--prompt', 'Hi'],
      { timeoutMs: 120_000 },
    )
    expect(code).toBe(1)
    expect(stderr).toContain('has no tokenizer, so it cannot read text. Prompt it with token ids (--prompt-ids 1,2,3).')
  })
})
