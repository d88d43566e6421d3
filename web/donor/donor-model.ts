/** The model a donor serves, as far as it is known without weights: pinned files, checked config, identity. */
import { readModelConfig } from '../../hub/model-config.ts'
import type { ModelSource } from '../../hub/source.ts'
import { checkForModel, type DonorSettings } from '../../swarm/donor-settings.ts'
import { makeModelId } from '../../swarm/model-info.ts'
import type { LlamaConfig } from '../../swarm/model/config.ts'
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
  { signal, onWait }: { signal: AbortSignal; onWait: (sentence: string) => void },
): Promise<DonorModel> {
  const source = await environment.openModel(request, signal, onWait)
  const config = await readModelConfig(source, signal)
  checkForModel(settings, config.numHiddenLayers)
  const id = await makeModelId(source.repo, source.revision, config.numHiddenLayers, (bytes) =>
    environment.sha256(bytes),
  )
  return { id, source, config }
}
