/**
 * A checkpoint in the exact layout of Llama-3.1-8B (names, shapes, bf16, four shards; the files are as long as the published ones, to
 * the byte) that nobody stores: an element is a hash of its tensor and index. Runs in Node and in a tab.
 */
import { spanTensors, tensorElements, type TensorSpec } from '../../../swarm/model/tensors.ts'
import { parseLlamaConfig } from '../../../swarm/model/parse-config.ts'

export const LLAMA_8B_CONFIG = {
  architectures: ['LlamaForCausalLM'],
  attention_bias: false,
  attention_dropout: 0,
  bos_token_id: 128000,
  eos_token_id: [128001, 128008, 128009],
  hidden_act: 'silu',
  hidden_size: 4096,
  initializer_range: 0.02,
  intermediate_size: 14336,
  max_position_embeddings: 131072,
  mlp_bias: false,
  model_type: 'llama',
  num_attention_heads: 32,
  num_hidden_layers: 32,
  num_key_value_heads: 8,
  pretraining_tp: 1,
  rms_norm_eps: 1e-5,
  rope_scaling: {
    factor: 8,
    high_freq_factor: 4,
    low_freq_factor: 1,
    original_max_position_embeddings: 8192,
    rope_type: 'llama3',
  },
  rope_theta: 500000,
  tie_word_embeddings: false,
  torch_dtype: 'bfloat16',
  use_cache: true,
  vocab_size: 128256,
}

export const llama8b = parseLlamaConfig(LLAMA_8B_CONFIG)

/** What the published files measure. */
export const PUBLISHED_BYTES = [4_976_698_672, 4_999_802_720, 4_915_916_176, 1_168_138_808]

const MAX_SHARD_BYTES = 5e9
const ELEMENT_BYTES = 2

export interface PlacedTensor {
  spec: TensorSpec
  /** Bytes of the file, `[begin, end)`. */
  begin: number
  end: number
}

export interface Shard {
  file: string
  bytes: number
  /** Length field and JSON. */
  header: Uint8Array
  tensors: PlacedTensor[]
}

/** As `save_pretrained` cuts and safetensors lays out: filled in the order of the model, each file sorted by name. */
export function llama8bShards(): Shard[] {
  const shards: TensorSpec[][] = [[]]
  let size = 0
  for (const spec of inModelOrder()) {
    const bytes = tensorElements(spec) * ELEMENT_BYTES
    if (size + bytes > MAX_SHARD_BYTES) {
      shards.push([])
      size = 0
    }
    shards.at(-1)?.push(spec)
    size += bytes
  }
  return shards.map((specs, i) => {
    const number = (count: number): string => String(count).padStart(5, '0')
    return layOut(`model-${number(i + 1)}-of-${number(shards.length)}.safetensors`, specs)
  })
}

/** Norms come last in a block there. */
function inModelOrder(): TensorSpec[] {
  const specs = spanTensors(llama8b, { start: 0, end: llama8b.numHiddenLayers })
  const blocks = specs.filter(({ block }) => typeof block === 'number')
  const place = ({ block, kind }: TensorSpec): number => Number(block) * 2 + (kind === 'vector' ? 1 : 0)
  const ends = specs.filter(({ block }) => typeof block !== 'number')
  return [...ends.slice(0, 1), ...blocks.toSorted((a, b) => place(a) - place(b)), ...ends.slice(1)]
}

function layOut(file: string, specs: readonly TensorSpec[]): Shard {
  const header: Record<string, unknown> = { __metadata__: { format: 'pt' } }
  const places: { spec: TensorSpec; at: number; bytes: number }[] = []
  let at = 0
  for (const spec of specs.toSorted((a, b) => (a.name < b.name ? -1 : 1))) {
    const bytes = tensorElements(spec) * ELEMENT_BYTES
    header[spec.name] = { dtype: 'BF16', shape: spec.shape, data_offsets: [at, at + bytes] }
    places.push({ spec, at, bytes })
    at += bytes
  }
  const json = new TextEncoder().encode(JSON.stringify(header))
  const headerBytes = 8 + Math.ceil(json.length / 8) * 8
  const head = new Uint8Array(headerBytes).fill(0x20)
  new DataView(head.buffer).setBigUint64(0, BigInt(headerBytes - 8), true)
  head.set(json, 8)
  const tensors = places.map(({ spec, at: from, bytes }) => ({
    spec,
    begin: headerBytes + from,
    end: headerBytes + from + bytes,
  }))
  return { file, bytes: headerBytes + at, header: head, tensors }
}

/** Elements `[first, first + out.length)` of a tensor as bf16: norms in [1, 2), matrices of either sign between 2⁻¹⁰ and 2⁻⁶. */
export function fillElements({ name, kind }: Pick<TensorSpec, 'name' | 'kind'>, first: number, out: Uint16Array): void {
  const seed = hashOf(name)
  for (let i = 0; i < out.length; i += 1) {
    const hash = mixed((first + i) ^ seed)
    const fraction = hash & 0x7f
    out[i] =
      kind === 'vector' ? 0x3f80 | fraction : ((hash >>> 16) & 0x8000) | ((117 + ((hash >>> 8) & 3)) << 7) | fraction
  }
}

/** A row of hidden states as another span could have sent it, between -1 and 1. */
export function hiddenRow(row: number): Float32Array {
  return Float32Array.from({ length: llama8b.hiddenSize }, (_, i) => mixed(i ^ hashOf(`row ${row}`)) / 2 ** 31)
}

/** Tokens of all parts of the vocabulary. */
export function tokenAt(position: number): number {
  return (position * 50_021 + 7) % llama8b.vocabSize
}

function mixed(value: number): number {
  let hash = Math.imul(value, 0x9e3779b1)
  hash = Math.imul(hash ^ (hash >>> 15), 0x85ebca77)
  return hash ^ (hash >>> 13)
}

function hashOf(text: string): number {
  let hash = 0x811c9dc5
  for (let i = 0; i < text.length; i += 1) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193)
  return mixed(hash)
}
