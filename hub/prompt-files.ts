/**
 * The small files that prompting needs, parsed but not judged: the requesting side never touches weights. What a model
 * does not have is null.
 */
import { MAX_JSON_FILE_BYTES, MAX_TOKENIZER_BYTES } from '../swarm/limits.ts'
import { noConfig } from './model-config.ts'
import type { ModelSource } from './source.ts'
import { parseJsonFile } from './text.ts'

export interface PromptFiles {
  config: unknown
  generationConfig: unknown
  tokenizerJson: unknown
  /** With `chat_template` from `chat_template.jinja` where newer models keep it; as upstream, that file wins. */
  tokenizerConfig: unknown
}

/** @throws SwarmError UNSUPPORTED_MODEL (no config.json), BAD_CONFIG, BAD_TOKENIZER, HUB_* */
export async function loadPromptFiles(source: ModelSource, signal?: AbortSignal): Promise<PromptFiles> {
  const present = new Set((await source.files(signal)).map((file) => file.path))
  if (!present.has('config.json')) throw noConfig(source.repo)
  const json = async (file: string, maxBytes: number): Promise<unknown> => {
    const text = present.has(file) ? await source.text(file, maxBytes, signal) : null
    return text === null ? null : parseJsonFile(file, text)
  }
  const template = present.has('chat_template.jinja')
    ? source.text('chat_template.jinja', MAX_JSON_FILE_BYTES, signal)
    : Promise.resolve(null)
  const [config, generationConfig, tokenizerJson, tokenizerConfig, chatTemplate] = await Promise.all([
    json('config.json', MAX_JSON_FILE_BYTES),
    json('generation_config.json', MAX_JSON_FILE_BYTES),
    json('tokenizer.json', MAX_TOKENIZER_BYTES),
    json('tokenizer_config.json', MAX_JSON_FILE_BYTES),
    template,
  ])
  return { config, generationConfig, tokenizerJson, tokenizerConfig: withTemplate(tokenizerConfig, chatTemplate) }
}

function withTemplate(tokenizerConfig: unknown, chatTemplate: string | null): unknown {
  if (chatTemplate === null) return tokenizerConfig
  if (tokenizerConfig !== null && (typeof tokenizerConfig !== 'object' || Array.isArray(tokenizerConfig))) {
    return tokenizerConfig
  }
  return { ...tokenizerConfig, chat_template: chatTemplate }
}
