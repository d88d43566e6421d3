/** The model a donor serves, as far as it is known without weights: pinned files, checked config, identity. */
import type { ModelSource } from '../../hub/source.ts'
import { SwarmError } from '../../swarm/errors.ts'
import { checkForModel, type DonorSettings } from '../../swarm/donor-settings.ts'
import { makeModelId } from '../../swarm/model-info.ts'
import type { LlamaConfig } from '../../swarm/model/config.ts'
import { parseLlamaConfig } from '../../swarm/model/parse-config.ts'
import type { ModelId } from '../../swarm/peer-record.ts'
import type { DonorEnvironment } from './environment.ts'

export interface DonorModel {
  id: ModelId
  source: ModelSource
  config: LlamaConfig
}

export interface ModelRequest {
  repo: string
  /** Commit, branch or tag; null: the hub's main branch. */
  revision: string | null
  hubUrl: string
}

/** @throws SwarmError HUB_*, BAD_CONFIG, UNSUPPORTED_MODEL, BAD_OPTION (settings that do not fit the model) */
export async function readDonorModel(
  environment: DonorEnvironment,
  request: ModelRequest,
  settings: DonorSettings,
  signal: AbortSignal,
): Promise<DonorModel> {
  const source = await environment.openModel(request, signal)
  const json = await source.json('config.json', signal)
  if (json === null) {
    throw new SwarmError(
      'UNSUPPORTED_MODEL',
      `${request.repo} has no config.json, so it is not a model that can be run.`,
      {
        action: 'Choose a Llama model in safetensors format.',
      },
    )
  }
  const config = parseLlamaConfig(json)
  checkForModel(settings, config.numHiddenLayers)
  const id = await makeModelId(source.repo, source.revision, config.numHiddenLayers, (bytes) =>
    environment.sha256(bytes),
  )
  return { id, source, config }
}
