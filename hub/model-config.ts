/** `config.json` of a model, which everything else about it depends on. */
import { SwarmError } from '../swarm/errors.ts'
import { MAX_JSON_FILE_BYTES } from '../swarm/limits.ts'
import type { LlamaConfig } from '../swarm/model/config.ts'
import { parseLlamaConfig } from '../swarm/model/parse-config.ts'
import type { ModelSource } from './source.ts'
import { parseJsonFile } from './text.ts'

/** @throws SwarmError UNSUPPORTED_MODEL, BAD_CONFIG, HUB_* */
export async function readModelConfig(source: ModelSource, signal?: AbortSignal): Promise<LlamaConfig> {
  // As text: `null` is a file too, though a wrong one.
  const text = await source.text('config.json', MAX_JSON_FILE_BYTES, signal)
  if (text === null) throw noConfig(source.repo)
  return parseLlamaConfig(parseJsonFile('config.json', text))
}

export function noConfig(repo: string): SwarmError {
  return new SwarmError('UNSUPPORTED_MODEL', `${repo} has no config.json, so it is not a model that can be run.`, {
    action: 'Choose a Llama model in safetensors format.',
  })
}
