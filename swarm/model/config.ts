/**
 * The part of a Llama-architecture `config.json` that computing needs, under Hugging Face's words in camelCase. Parsed and
 * checked by `parse-config.ts`, which refuses what this engine cannot run.
 */
export interface LlamaConfig {
  hiddenSize: number
  intermediateSize: number
  numHiddenLayers: number
  numAttentionHeads: number
  numKeyValueHeads: number
  /** Given, or hiddenSize ÷ numAttentionHeads. */
  headDim: number
  vocabSize: number
  maxPositionEmbeddings: number
  rmsNormEps: number
  ropeTheta: number
  /** null: plain RoPE. */
  ropeScaling: Llama3RopeScaling | null
  attentionBias: boolean
  mlpBias: boolean
  tieWordEmbeddings: boolean
  bosTokenId: number | null
  /** May be a list in the file; empty when absent. */
  eosTokenIds: number[]
  /** What most tensors are stored as, as a hint only: each tensor's own dtype decides. */
  dtype: string | null
}

export interface Llama3RopeScaling {
  ropeType: 'llama3'
  factor: number
  lowFreqFactor: number
  highFreqFactor: number
  originalMaxPositionEmbeddings: number
}

/** What matrices are stored as on the GPU, the most exact first; int8 and int4 in groups of WEIGHT_GROUP with a scale each. */
export const WEIGHT_FORMATS = ['f32', 'f16', 'int8', 'int4'] as const
export type WeightFormat = (typeof WEIGHT_FORMATS)[number]
/** What a person or a flag may ask for; `auto` is the most exact format that fits the memory. */
export const WEIGHT_CHOICES = ['auto', ...WEIGHT_FORMATS] as const
export type WeightChoice = (typeof WEIGHT_CHOICES)[number]

/** What keys and values are kept as. By itself a tab keeps f32: halves are a rounding that grows with the context, and bits of a session
 * elsewhere. f16 holds twice the tokens in the same memory, for whoever asks. */
export const KV_FORMATS = ['f32', 'f16'] as const
export type KvFormat = (typeof KV_FORMATS)[number]
