/**
 * `config.json` and `generation_config.json` → typed values. Reads the older style (`rope_theta`, `rope_scaling`,
 * `torch_dtype`) and the newer (`rope_parameters`, `dtype`). Everything in them is untrusted: whatever this engine
 * cannot run, or would run differently from the reference implementation, is refused with the reason. Sizes that decide
 * allocations are never defaulted.
 */
import { MAX_BLOCKS, MAX_CONTEXT, MAX_HIDDEN_SIZE, MAX_INTERMEDIATE_SIZE, MAX_VOCAB_SIZE } from '../limits.ts'
import type { LlamaConfig } from './config.ts'
import { badConfig, ConfigReader, unsupported } from './config-reader.ts'
import { parseRope } from './parse-rope.ts'

/** Llama models have 64 or 128; attention keeps one head of a query in a workgroup's memory. */
const MAX_HEAD_DIM = 256
/** heads × head_dim may exceed the hidden size, in no published model by more than this. */
const MAX_ATTENTION_WIDTH = 2 * MAX_HIDDEN_SIZE
/** Llama 3 lists three end tokens. */
const MAX_EOS_TOKENS = 64

/** @throws SwarmError BAD_CONFIG (malformed or out of limits), UNSUPPORTED_MODEL (well-formed, but not for this engine). */
export function parseLlamaConfig(json: unknown): LlamaConfig {
  const read = new ConfigReader('config.json', json)
  refuseOtherArchitectures(read)
  refuseUnsupportedFeatures(read)

  const hiddenSize = read.size('hidden_size', MAX_HIDDEN_SIZE)
  const numAttentionHeads = read.size('num_attention_heads', MAX_ATTENTION_WIDTH)
  const numKeyValueHeads = read.optionalSize('num_key_value_heads', MAX_ATTENTION_WIDTH) ?? numAttentionHeads
  const headDim = readHeadDim(read, hiddenSize, numAttentionHeads)
  if (numAttentionHeads % numKeyValueHeads !== 0) {
    throw badConfig(
      `num_attention_heads is ${numAttentionHeads}, which num_key_value_heads ${numKeyValueHeads} does not divide`,
    )
  }
  if (numAttentionHeads * headDim > MAX_ATTENTION_WIDTH) {
    throw badConfig(`heads × head_dim is ${numAttentionHeads * headDim}, the limit is ${MAX_ATTENTION_WIDTH}`)
  }
  const maxPositionEmbeddings = read.optionalSize('max_position_embeddings', MAX_CONTEXT) ?? 2048
  const rope = parseRope(read, maxPositionEmbeddings)
  return {
    hiddenSize,
    intermediateSize: read.size('intermediate_size', MAX_INTERMEDIATE_SIZE),
    numHiddenLayers: read.size('num_hidden_layers', MAX_BLOCKS),
    numAttentionHeads,
    numKeyValueHeads,
    headDim,
    vocabSize: read.size('vocab_size', MAX_VOCAB_SIZE),
    maxPositionEmbeddings,
    rmsNormEps: read.optionalNumber('rms_norm_eps', { above: 0, atMost: 1 }) ?? 1e-6,
    ropeTheta: rope.theta,
    ropeScaling: rope.scaling,
    attentionBias: read.optionalBoolean('attention_bias') ?? false,
    mlpBias: read.optionalBoolean('mlp_bias') ?? false,
    // LlamaConfig's own default; files of tied models always say so.
    tieWordEmbeddings: read.optionalBoolean('tie_word_embeddings') ?? false,
    bosTokenId: read.tokenIds('bos_token_id', 1)[0] ?? null,
    eosTokenIds: read.tokenIds('eos_token_id', MAX_EOS_TOKENS),
    dtype:
      (read.optionalString('dtype') ?? read.optionalString('torch_dtype') ?? null)?.replace(/^torch\./, '') ?? null,
  }
}

/** What a model's makers recommend for sampling; what the file does not say is absent. */
export interface GenerationConfig {
  temperature?: number
  topP?: number
  topK?: number
  repetitionPenalty?: number
  eosTokenIds?: number[]
  doSample?: boolean
}

/** @throws SwarmError BAD_CONFIG */
export function parseGenerationConfig(json: unknown): GenerationConfig {
  const read = new ConfigReader('generation_config.json', json)
  const temperature = read.optionalNumber('temperature', { atLeast: 0, atMost: 100 })
  const topP = read.optionalNumber('top_p', { above: 0, atMost: 1 })
  const topK = read.optionalNumber('top_k', { atLeast: 0, atMost: MAX_VOCAB_SIZE, integer: true })
  const repetitionPenalty = read.optionalNumber('repetition_penalty', { above: 0, atMost: 100 })
  const eosTokenIds = read.tokenIds('eos_token_id', MAX_EOS_TOKENS)
  const doSample = read.optionalBoolean('do_sample')
  return {
    ...(temperature === undefined ? {} : { temperature }),
    ...(topP === undefined ? {} : { topP }),
    ...(topK === undefined ? {} : { topK }),
    ...(repetitionPenalty === undefined ? {} : { repetitionPenalty }),
    ...(eosTokenIds.length === 0 ? {} : { eosTokenIds }),
    ...(doSample === undefined ? {} : { doSample }),
  }
}

function refuseOtherArchitectures(read: ConfigReader): void {
  const modelType = read.optionalString('model_type')
  if (modelType !== undefined && modelType !== 'llama') throw unsupported(`model_type is "${modelType}", not "llama"`)
  const architectures = read.optionalStrings('architectures')
  if (architectures !== undefined && architectures.length > 0 && !architectures.includes('LlamaForCausalLM')) {
    throw unsupported(`architectures is ${JSON.stringify(architectures.slice(0, 4))}, not ["LlamaForCausalLM"]`)
  }
  if (modelType === undefined && (architectures === undefined || architectures.length === 0)) {
    throw unsupported('it names neither model_type "llama" nor the architecture "LlamaForCausalLM"')
  }
}

function refuseUnsupportedFeatures(read: ConfigReader): void {
  const activation = read.optionalString('hidden_act')
  if (activation !== undefined && activation !== 'silu' && activation !== 'swish') {
    throw unsupported(`hidden_act is "${activation}"; only "silu" is computed`)
  }
  if (read.isSet('quantization_config')) {
    throw unsupported('it has a quantization_config; only f32, f16 and bf16 checkpoints are loaded')
  }
  if (read.isSet('sliding_window') && read.optionalBoolean('use_sliding_window') !== false) {
    throw unsupported('it has a sliding_window; only full attention is computed')
  }
  const layerTypes = read.optionalStrings('layer_types')
  const otherLayer = layerTypes?.find((type) => type !== 'full_attention')
  if (otherLayer !== undefined) throw unsupported(`layer_types has "${otherLayer}"; only "full_attention" is computed`)
  for (const key of ['num_local_experts', 'num_experts', 'attn_logit_softcapping', 'final_logit_softcapping']) {
    if (read.isSet(key)) throw unsupported(`it sets ${key}, which Llama does not have`)
  }
}

function readHeadDim(read: ConfigReader, hiddenSize: number, numAttentionHeads: number): number {
  const given = read.optionalSize('head_dim', MAX_HEAD_DIM)
  const headDim = given ?? hiddenSize / numAttentionHeads
  if (!Number.isInteger(headDim)) {
    throw badConfig(`hidden_size ${hiddenSize} is not divisible by num_attention_heads ${numAttentionHeads}`)
  }
  if (headDim > MAX_HEAD_DIM) throw badConfig(`head_dim is ${headDim}, the limit is ${MAX_HEAD_DIM}`)
  // Rotary embedding turns pairs of dimensions.
  if (headDim % 2 !== 0) throw badConfig(`head_dim is ${headDim}; it must be even`)
  return headDim
}
