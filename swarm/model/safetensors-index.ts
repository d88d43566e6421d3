/**
 * `model.safetensors.index.json`: which shard holds which tensor. Rule 12: shard names are plain file names, so that an
 * index can never point outside its repository.
 */
import { MAX_SHARDS } from '../limits.ts'
import { bad } from './safetensors.ts'
import { parseStrictJson, StrictJsonError } from './strict-json.ts'
import type { StrictJson } from './strict-json.ts'

export const INDEX_FILE = 'model.safetensors.index.json'
export const SINGLE_FILE = 'model.safetensors'

const SHARD_NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,200}\.safetensors$/
/** `weight_map` is two deep; `metadata` is not ours and may hold a little more. */
const MAX_DEPTH = 8

/** Tensor name → shard file name. @throws SwarmError BAD_SAFETENSORS */
export function parseSafetensorsIndex(text: string): ReadonlyMap<string, string> {
  const root = parse(text)
  const weightMap = root instanceof Map ? root.get('weight_map') : undefined
  if (!(weightMap instanceof Map)) throw bad(INDEX_FILE, 12, 'it has no weight_map')
  const shards = new Set<string>()
  const shardOf = new Map<string, string>()
  for (const [tensor, shard] of weightMap) {
    if (typeof shard !== 'string' || !SHARD_NAME.test(shard) || shard.includes('..')) {
      const shown = typeof shard === 'string' ? JSON.stringify(shard.slice(0, 80)) : typeof shard
      throw bad(INDEX_FILE, 12, `tensor ${JSON.stringify(tensor.slice(0, 80))} is said to be in ${shown}`)
    }
    shards.add(shard)
    if (shards.size > MAX_SHARDS) throw bad(INDEX_FILE, 12, `it names more than ${MAX_SHARDS} shards`)
    shardOf.set(tensor, shard)
  }
  return shardOf
}

function parse(text: string): StrictJson {
  try {
    return parseStrictJson(text, { maxDepth: MAX_DEPTH })
  } catch (error) {
    if (!(error instanceof StrictJsonError)) throw error
    throw bad(INDEX_FILE, 12, `it is not the JSON it must be: ${error.message}`, error)
  }
}
