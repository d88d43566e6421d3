/**
 * The small files of a model → `PromptModel`: everything a requesting peer needs, and no weights. Files arrive parsed and
 * within size limits (`hub/prompt-files.ts`); their content is untrusted and is checked here.
 */
import { SwarmError } from '../../swarm/errors.ts'
import { parseGenerationConfig, parseLlamaConfig, type GenerationConfig } from '../../swarm/model/parse-config.ts'
import { unitWeightsOf } from '../../swarm/model/unit-weights.ts'
import type { ModelId } from '../../swarm/peer-record.ts'
import type { PromptModel, SamplingOptions, Tokenizer } from '../types.ts'
import { checkTemplate, checkTokenizer, checkTokenizerConfig } from './check-tokenizer.ts'
import { createDecoder } from './decode.ts'
import { chatTemplateOf } from './special-tokens.ts'
import type { TextSandbox } from './text-sandbox.ts'
import { createTokenizer } from './tokenizer.ts'

/** Parsed JSON; null where the repository has no such file. */
export interface PromptFiles {
  config: unknown
  generationConfig: unknown
  tokenizerJson: unknown
  /** With `chat_template` from `chat_template.jinja` where a repository has that file. */
  tokenizerConfig: unknown
}

/**
 * The model owns `sandbox` from here on: `tokenizer.dispose()` ends it. A model without tokenizer.json leaves it unused
 * (and ended).
 * @throws SwarmError BAD_CONFIG, UNSUPPORTED_MODEL, BAD_TOKENIZER, BAD_TEMPLATE
 */
export async function createPromptModel(files: PromptFiles, id: ModelId, sandbox: TextSandbox): Promise<PromptModel> {
  try {
    const config = parseLlamaConfig(files.config)
    if (config.numHiddenLayers !== id.blocks) {
      throw new SwarmError('BAD_CONFIG', `the model has ${config.numHiddenLayers} blocks, ${id.blocks} were expected`)
    }
    const generation = isAbsent(files.generationConfig) ? {} : parseGenerationConfig(files.generationConfig)
    const chatTemplate = checkTemplate(chatTemplateOf(checkTokenizerConfig(files.tokenizerConfig)))
    const tokenizer = isAbsent(files.tokenizerJson)
      ? null
      : await loadTokenizer(files, chatTemplate, config.vocabSize, sandbox)
    if (tokenizer === null) sandbox.terminate()
    return {
      id,
      maxPositionEmbeddings: config.maxPositionEmbeddings,
      vocabSize: config.vocabSize,
      hiddenSize: config.hiddenSize,
      unitWeights: unitWeightsOf(config),
      eosTokenIds: generation.eosTokenIds ?? config.eosTokenIds,
      defaults: samplingDefaults(generation),
      tokenizer,
      hasChatTemplate: tokenizer !== null && chatTemplate !== null,
    }
  } catch (error) {
    sandbox.terminate()
    throw error
  }
}

async function loadTokenizer(
  files: PromptFiles,
  chatTemplate: string | null,
  vocabSize: number,
  sandbox: TextSandbox,
): Promise<Tokenizer> {
  const checked = checkTokenizer(files.tokenizerJson)
  const tokenizerConfig = checkTokenizerConfig(files.tokenizerConfig)
  const extra = tokenizerConfig['additional_special_tokens']
  const extraSpecial = Array.isArray(extra) ? extra.filter((token) => typeof token === 'string') : []
  const decoder = createDecoder(checked, extraSpecial)
  await sandbox.call('load', { tokenizerJson: checked.tokenizerJson, tokenizerConfig, chatTemplate })
  return createTokenizer(sandbox, decoder, vocabSize)
}

/** `do_sample` false means greedy whatever the other numbers say; true without a temperature means 1. */
function samplingDefaults(generation: GenerationConfig): Partial<SamplingOptions> {
  const defaults: Partial<SamplingOptions> = {}
  if (generation.doSample === false) defaults.temperature = 0
  else if (generation.temperature !== undefined) defaults.temperature = generation.temperature
  else if (generation.doSample === true) defaults.temperature = 1
  if (generation.topP !== undefined) defaults.topP = generation.topP
  if (generation.topK !== undefined) defaults.topK = generation.topK
  if (generation.repetitionPenalty !== undefined) defaults.repetitionPenalty = generation.repetitionPenalty
  return defaults
}

function isAbsent(value: unknown): boolean {
  return value === null || value === undefined
}
