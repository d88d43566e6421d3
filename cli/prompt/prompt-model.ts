/** The requesting side's model from a source: config, tokenizer and template, with the worker that runs the last two. */
import { createHash } from 'node:crypto'
import { loadPromptFiles } from '../../hub/prompt-files.ts'
import type { ModelSource } from '../../hub/source.ts'
import { createPromptModel } from '../../session/model/load.ts'
import type { PromptModel } from '../../session/types.ts'
import { parseLlamaConfig } from '../../swarm/model/parse-config.ts'
import { makeModelId } from '../../swarm/model-info.ts'
import { createNodeTextSandbox } from './text-sandbox.ts'

/** The caller disposes of `model.tokenizer`. */
export async function loadPromptModel(source: ModelSource, workerFile: string): Promise<PromptModel> {
  const files = await loadPromptFiles(source)
  const blocks = parseLlamaConfig(files.config).numHiddenLayers
  const id = await makeModelId(source.repo, source.revision, blocks, sha256)
  return createPromptModel(files, id, createNodeTextSandbox(workerFile))
}

export function sha256(bytes: Uint8Array): Promise<Uint8Array> {
  return Promise.resolve(createHash('sha256').update(bytes).digest())
}
