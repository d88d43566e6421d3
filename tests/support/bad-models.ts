/**
 * Models that cannot be run, each with the sentence that says why. The rule numbers are those of docs/model-files.md; the
 * parsers' own tables are in tests/unit/swarm/model, this one is for what reaches a person.
 */
import { renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { ErrorCode } from '../../swarm/errors.ts'
import { readParts, writeSharded, writeSingle, type ModelParts } from './model-folders.ts'
import { buildSafetensors, withHeader, type BuiltTensor } from './safetensors-builder.ts'

export interface BadModel {
  name: string
  code: ErrorCode
  says: string | RegExp
  /** Writes the model's folder. */
  write: (folder: string) => void
}

const BASE = 'plain-tied-f32'
const Q0 = 'model.layers.0.self_attn.q_proj.weight'

function withConfig(change: Record<string, unknown>, base = BASE): (folder: string) => void {
  return (folder) => {
    const parts = readParts(base)
    writeSingle(folder, { ...parts, config: { ...parts.config, ...change } })
  }
}

function withConfigText(text: string): (folder: string) => void {
  return (folder) => {
    writeSingle(folder, readParts(BASE))
    writeFileSync(join(folder, 'config.json'), text)
  }
}

function without(key: string): (folder: string) => void {
  return withConfig({ [key]: undefined })
}

/** Refused by config.json alone. */
export const BAD_CONFIGS: readonly BadModel[] = [
  {
    name: 'not-json',
    code: 'BAD_CONFIG',
    says: 'config.json is not JSON',
    write: withConfigText('{"hidden_size": 64,'),
  },
  { name: 'nan', code: 'BAD_CONFIG', says: 'config.json is not JSON', write: withConfigText('{"hidden_size": NaN}') },
  {
    name: 'a-list',
    code: 'BAD_CONFIG',
    says: 'config.json is a list of 0, not a JSON object',
    write: withConfigText('[]'),
  },
  { name: 'null', code: 'BAD_CONFIG', says: 'config.json is null, not a JSON object', write: withConfigText('null') },
  { name: 'no-hidden-size', code: 'BAD_CONFIG', says: 'hidden_size is missing', write: without('hidden_size') },
  {
    name: 'no-blocks',
    code: 'BAD_CONFIG',
    says: 'num_hidden_layers is 0',
    write: withConfig({ num_hidden_layers: 0 }),
  },
  {
    name: 'many-blocks',
    code: 'BAD_CONFIG',
    says: 'num_hidden_layers is 5000; the limit is 256',
    write: withConfig({ num_hidden_layers: 5000 }),
  },
  {
    name: 'huge-vocab',
    code: 'BAD_CONFIG',
    says: 'vocab_size is 1000000000; the limit is 512000',
    write: withConfig({ vocab_size: 1e9 }),
  },
  {
    name: 'text-size',
    code: 'BAD_CONFIG',
    says: 'hidden_size is "64", not a finite number',
    write: withConfig({ hidden_size: '64' }),
  },
  {
    name: 'heads-3-of-4',
    code: 'BAD_CONFIG',
    says: 'num_attention_heads is 4, which num_key_value_heads 3 does not divide',
    write: withConfig({ num_key_value_heads: 3 }),
  },
  {
    name: 'odd-head',
    code: 'BAD_CONFIG',
    says: 'head_dim is 15; it must be even',
    write: withConfig({ head_dim: 15 }),
  },
  {
    name: 'mistral',
    code: 'UNSUPPORTED_MODEL',
    says: 'model_type is "mistral", not "llama"',
    write: withConfig({ model_type: 'mistral', architectures: ['MistralForCausalLM'] }),
  },
  {
    name: 'qwen',
    code: 'UNSUPPORTED_MODEL',
    says: 'architectures is ["Qwen2ForCausalLM"], not ["LlamaForCausalLM"]',
    write: withConfig({ architectures: ['Qwen2ForCausalLM'] }),
  },
  {
    name: 'multimodal',
    code: 'UNSUPPORTED_MODEL',
    says: 'model_type is "mllama", not "llama"',
    write: withConfigText(
      JSON.stringify({
        model_type: 'mllama',
        architectures: ['MllamaForConditionalGeneration'],
        text_config: { hidden_size: 64 },
      }),
    ),
  },
  {
    name: 'nested',
    code: 'BAD_CONFIG',
    says: 'hidden_size is missing',
    write: withConfigText(
      JSON.stringify({ model_type: 'llama', architectures: ['LlamaForCausalLM'], text_config: { hidden_size: 64 } }),
    ),
  },
  {
    name: 'quantised',
    code: 'UNSUPPORTED_MODEL',
    says: 'it has a quantization_config; only f32, f16 and bf16 checkpoints are loaded',
    write: withConfig({ quantization_config: { quant_method: 'gptq', bits: 4 } }),
  },
  {
    name: 'window',
    code: 'UNSUPPORTED_MODEL',
    says: 'it has a sliding_window; only full attention is computed',
    write: withConfig({ sliding_window: 128 }),
  },
  {
    name: 'gelu',
    code: 'UNSUPPORTED_MODEL',
    says: 'hidden_act is "gelu"; only "silu" is computed',
    write: withConfig({ hidden_act: 'gelu' }),
  },
  {
    name: 'rope-linear',
    code: 'UNSUPPORTED_MODEL',
    says: 'its rope type is "linear"; "default" and "llama3" are computed',
    write: withConfig({ rope_scaling: { type: 'linear', factor: 2 } }),
  },
  {
    name: 'rope-dynamic',
    code: 'UNSUPPORTED_MODEL',
    says: 'its rope type is "dynamic"',
    write: withConfig({ rope_scaling: { rope_type: 'dynamic', factor: 2 } }),
  },
  {
    name: 'rope-yarn',
    code: 'UNSUPPORTED_MODEL',
    says: 'its rope type is "yarn"',
    write: withConfig({ rope_parameters: { rope_type: 'yarn', factor: 4, rope_theta: 1e4 } }),
  },
  {
    name: 'partial-rotary',
    code: 'UNSUPPORTED_MODEL',
    says: 'partial_rotary_factor is 0.5, not 1',
    write: withConfig({ partial_rotary_factor: 0.5 }),
  },
  {
    name: 'rope-incomplete',
    code: 'BAD_CONFIG',
    says: 'low_freq_factor is missing',
    write: withConfig({ rope_scaling: { rope_type: 'llama3', factor: 8 } }),
  },
]

type Change = (tensors: Record<string, BuiltTensor>, parts: ModelParts) => void

function withTensors(change: Change): (folder: string) => void {
  return (folder) => {
    const parts = readParts(BASE)
    change(parts.tensors, parts)
    writeSingle(folder, parts)
  }
}

/** The right file with its header's text changed; the padding keeps its length. */
function withHeaderText(change: (text: string) => string): (folder: string) => void {
  return (folder) => {
    const parts = readParts(BASE)
    writeSingle(folder, parts)
    const right = Buffer.from(buildSafetensors(parts.tensors))
    const dataAt = 8 + Number(right.readBigUInt64LE(0))
    writeFileSync(
      join(folder, 'model.safetensors'),
      withHeader(change(right.toString('utf8', 8, dataAt).trim()), right.subarray(dataAt)),
    )
  }
}

function withFile(bytes: (right: Buffer) => Uint8Array): (folder: string) => void {
  return (folder) => {
    const parts = readParts(BASE)
    writeSingle(folder, parts)
    writeFileSync(join(folder, 'model.safetensors'), bytes(Buffer.from(buildSafetensors(parts.tensors))))
  }
}

function withIndex(change: (map: Record<string, string>) => unknown): (folder: string) => void {
  return (folder) => {
    const parts = readParts(BASE)
    writeSharded(folder, parts, 2)
    const map = Object.fromEntries(
      Object.keys(parts.tensors).map((name, i) => [
        name,
        i === 0 ? 'model-00001-of-00002.safetensors' : 'model-00002-of-00002.safetensors',
      ]),
    )
    const changed = change(map)
    writeFileSync(
      join(folder, 'model.safetensors.index.json'),
      typeof changed === 'string' ? changed : JSON.stringify({ weight_map: changed }),
    )
  }
}

const NAN = Buffer.from([0, 0, 0xc0, 0x7f])

function poison(name: string): Change {
  return (tensors) => {
    const tensor = tensors[name] as BuiltTensor
    const data = Buffer.from(tensor.data)
    NAN.copy(data, 0)
    tensors[name] = { ...tensor, data }
  }
}

/** Refused by the weight files, before a weight is asked for. */
export const BAD_WEIGHTS: readonly BadModel[] = [
  { name: 'empty', code: 'BAD_SAFETENSORS', says: '(rule 1)', write: withFile(() => new Uint8Array(0)) },
  {
    name: 'long-header',
    code: 'BAD_SAFETENSORS',
    says: '(rule 2)',
    write: withFile((right) => (right.writeBigUInt64LE(2n ** 63n, 0), right)),
  },
  {
    name: 'zip',
    code: 'BAD_SAFETENSORS',
    says: '(rule 2)',
    write: withFile(() => Buffer.from('PK\u0003\u0004 a pickle in a zip, renamed to look like weights')),
  },
  { name: 'not-an-object', code: 'BAD_SAFETENSORS', says: '(rule 3)', write: withHeaderText((text) => `[${text}]`) },
  {
    name: 'twice',
    code: 'BAD_SAFETENSORS',
    says: '(rule 4)',
    write: withHeaderText((text) => text.replace('{', `{"${Q0}":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},`)),
  },
  {
    name: 'metadata',
    code: 'BAD_SAFETENSORS',
    says: '(rule 5)',
    write: withHeaderText((text) => text.replace('{', '{"__metadata__":{"format":1},')),
  },
  {
    name: 'dtype',
    code: 'BAD_SAFETENSORS',
    says: '(rule 6)',
    write: withHeaderText((text) => text.replace('"F32"', '"F12"')),
  },
  {
    name: 'eight-bit',
    code: 'UNSUPPORTED_MODEL',
    says: 'is stored as I8; F32, F16 and BF16 are loaded (rule 6)',
    write: withTensors((tensors) => {
      const { shape } = tensors[Q0] as BuiltTensor
      tensors[Q0] = { dtype: 'I8', shape, data: new Uint8Array(shape.reduce((a, b) => a * b, 1)) }
    }),
  },
  {
    name: 'shape',
    code: 'BAD_SAFETENSORS',
    says: '(rule 7)',
    write: withHeaderText((text) => text.replace('"shape":[', '"shape":[-')),
  },
  {
    name: 'offsets',
    code: 'BAD_SAFETENSORS',
    says: '(rule 8)',
    write: withHeaderText((text) => text.replace('"data_offsets":[0,', '"data_offsets":[4,')),
  },
  {
    name: 'truncated',
    code: 'BAD_SAFETENSORS',
    says: '(rule 9)',
    write: withFile((right) => right.subarray(0, right.length - 4)),
  },
  {
    name: 'polyglot',
    code: 'BAD_SAFETENSORS',
    says: '(rule 9)',
    write: withFile((right) => Buffer.concat([right, Buffer.from('#!/bin/sh\n')])),
  },
  {
    name: 'missing',
    code: 'BAD_SAFETENSORS',
    says: `tensor ${Q0}, which the config calls for, is missing (rule 10)`,
    write: withTensors((tensors) => void delete tensors[Q0]),
  },
  {
    name: 'other-shape',
    code: 'BAD_SAFETENSORS',
    says: 'the config implies [64, 64] (rule 11)',
    write: withTensors((tensors) => {
      const { dtype, data } = tensors[Q0] as BuiltTensor
      tensors[Q0] = { dtype, shape: [32, 128], data }
    }),
  },
  {
    name: 'index-path',
    code: 'BAD_SAFETENSORS',
    says: '(rule 12)',
    write: withIndex((map) => ({ ...map, [Q0]: '../other/model.safetensors' })),
  },
  { name: 'index-text', code: 'BAD_SAFETENSORS', says: '(rule 12)', write: withIndex(() => 'weights: none') },
  {
    name: 'index-absent',
    code: 'HUB_NOT_FOUND',
    says: /names model-00009\S+ in its index and does not have it/,
    write: withIndex((map) => ({ ...map, [Q0]: 'model-00009-of-00002.safetensors' })),
  },
  {
    name: 'scalar',
    code: 'BAD_SAFETENSORS',
    says: '(rule 15)',
    write: withTensors((tensors) => {
      tensors[Q0] = { dtype: 'F32', shape: [], data: new Uint8Array(4) }
    }),
  },
  {
    name: 'pickle',
    code: 'UNSUPPORTED_MODEL',
    says: 'has no weights in safetensors format',
    write: (folder) => {
      writeSingle(folder, readParts(BASE))
      renameSync(join(folder, 'model.safetensors'), join(folder, 'pytorch_model.bin'))
    },
  },
]

/** Found only in the weights themselves. */
export const BAD_VALUES: readonly BadModel[] = [
  {
    name: 'nan-norm',
    code: 'BAD_SAFETENSORS',
    says: 'model.layers.0.input_layernorm.weight has 1 values that are not finite (rule 14)',
    write: withTensors(poison('model.layers.0.input_layernorm.weight')),
  },
]
