/**
 * The model that donor tabs of this process serve: in a models folder of this machine (served by its own mirror), on a
 * relay's mirror, or on a hub. What comes out is the offer for the page's `/config.json`, pinned to a commit.
 */
import { existsSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { readModelConfig } from '../../hub/model-config.ts'
import type { ModelSource } from '../../hub/source.ts'
import { decodeText, parseJsonFile } from '../../hub/text.ts'
import { requireRepo } from '../../hub/urls.ts'
import type { ModelOffer } from '../../swarm/app-config.ts'
import { SwarmError } from '../../swarm/errors.ts'
import { MAX_JSON_FILE_BYTES } from '../../swarm/limits.ts'
import type { LlamaConfig } from '../../swarm/model/config.ts'
import { parseLlamaConfig } from '../../swarm/model/parse-config.ts'
import {
  chooseModel,
  openPlace,
  type ModelPlace,
  type ModelWish,
  type OpenPlaceOptions,
} from '../prompt/model-source.ts'
import type { RelayEntry } from '../prompt/app-config.ts'

export interface ChosenModel {
  repo: string
  config: LlamaConfig
  /** null for a model of a local folder: the mirror offers it itself. */
  offer: ModelOffer | null
  /** Whether the configured hub is read, so that tabs need its token. */
  needsToken: boolean
}

/**
 * Folders with models: the given ones before the embedded one's, so that a person's own copy wins.
 * @throws SwarmError BAD_OPTION for one that is not there: its models would be looked for on the hub in its place
 */
export function modelsDirs(root: string, given: readonly string[]): string[] {
  const missing = given.find((dir) => statSync(dir, { throwIfNoEntry: false })?.isDirectory() !== true)
  if (missing !== undefined) {
    throw new SwarmError('BAD_OPTION', `--models-dir ${missing} is not a folder`, {
      action: 'Name the folder that holds NAME/ or ORG/NAME/ with its config.json.',
    })
  }
  return [...given, join(root, 'models')]
}

export function isLocalModel(dirs: readonly string[], repo: string): boolean {
  return dirs.some((dir) => existsSync(join(dir, repo, 'config.json')))
}

/**
 * `wish.model` undefined: what the relays offer first, else `fallback`.
 * @throws SwarmError HUB_*, UNKNOWN_MODEL, BAD_CONFIG, UNSUPPORTED_MODEL
 */
export async function chooseDonorModel(
  wish: ModelWish,
  dirs: readonly string[],
  entries: readonly RelayEntry[],
  fallback: string,
  reading: OpenPlaceOptions,
): Promise<ChosenModel> {
  const repo = requireRepo(wish.model ?? entries.flatMap((entry) => entry.config.models)[0]?.repo ?? fallback)
  // A revision is a hub's word: a folder has one state only.
  if (isLocalModel(dirs, repo) && wish.revision === undefined) {
    return { repo, config: readLocalConfig(dirs, repo), offer: null, needsToken: false }
  }
  const place = chooseModel({ ...wish, model: repo }, entries)
  const source = await openModelOrSayWhere(place, wish, dirs, reading)
  const config = await readModelConfig(source, reading.signal)
  return { repo, config, offer: await offerOf(source, place, config), needsToken: !place.isMirror }
}

async function openModelOrSayWhere(
  place: ModelPlace,
  wish: ModelWish,
  dirs: readonly string[],
  reading: OpenPlaceOptions,
): Promise<ModelSource> {
  try {
    return await openPlace(place, wish, reading)
  } catch (error) {
    if (!(error instanceof SwarmError)) throw error
    if (error.code === 'HUB_UNREACHABLE') {
      const { message, action, retryable, details } = error
      throw new SwarmError(error.code, `Model ${place.repo} is not in ${dirs.join(', ')}, and ${message}`, {
        retryable,
        details,
        cause: error,
        ...(action === undefined ? {} : { action }),
      })
    }
    if (error.details['missing'] !== 'model') throw error
    const orPrivate = wish.token === null ? ', or sign in (hf auth login) if it is private' : ''
    throw new SwarmError(
      'UNKNOWN_MODEL',
      `Model ${place.repo} is neither on ${place.hubUrl} nor in ${dirs.join(', ')}`,
      {
        action: `Correct --model, name its folder with --models-dir${orPrivate}.`,
        cause: error,
      },
    )
  }
}

/** Read here as well as in the tab, so that a model that cannot be run is refused before a browser is started for it. */
function readLocalConfig(dirs: readonly string[], repo: string): LlamaConfig {
  const file = dirs.map((dir) => join(dir, repo, 'config.json')).find((path) => existsSync(path)) ?? ''
  if (statSync(file).size > MAX_JSON_FILE_BYTES) {
    throw new SwarmError('BAD_CONFIG', `${file} is longer than ${MAX_JSON_FILE_BYTES} bytes`, {
      action: 'This is not the config of a model: correct --model or --models-dir.',
    })
  }
  return parseLlamaConfig(parseJsonFile('config.json', decodeText('config.json', readFileSync(file))))
}

async function offerOf(source: ModelSource, place: ModelPlace, config: LlamaConfig): Promise<ModelOffer> {
  const files = await source.files()
  const sizeBytes = files.filter((file) => file.path.endsWith('.safetensors')).reduce((sum, file) => sum + file.size, 0)
  return {
    repo: source.repo,
    revision: source.revision,
    hubUrl: place.hubUrl,
    blocks: config.numHiddenLayers,
    sizeBytes,
  }
}
