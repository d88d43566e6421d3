/**
 * The model that donor tabs of this process serve: in a models folder of this machine (served by its own mirror), on a
 * relay's mirror, or on a hub. What comes out is the offer for the page's `/config.json`, pinned to a commit.
 */
import { existsSync, statSync } from 'node:fs'
import { join } from 'node:path'
import type { ModelSource } from '../../hub/source.ts'
import type { ModelOffer } from '../../swarm/app-config.ts'
import { SwarmError } from '../../swarm/errors.ts'
import { parseLlamaConfig } from '../../swarm/model/parse-config.ts'
import { chooseModel, openPlace, type ModelPlace, type ModelWish } from '../prompt/model-source.ts'
import type { RelayEntry } from '../prompt/app-config.ts'

export interface ChosenModel {
  repo: string
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
  signal: AbortSignal,
): Promise<ChosenModel> {
  const repo = wish.model ?? entries.flatMap((entry) => entry.config.models)[0]?.repo ?? fallback
  // A revision is a hub's word: a folder has one state only.
  if (isLocalModel(dirs, repo) && wish.revision === undefined) return { repo, offer: null, needsToken: false }
  const place = chooseModel({ ...wish, model: repo }, entries)
  const source = await openModelOrSayWhere(place, wish, dirs, signal)
  return { repo, offer: await offerOf(source, place), needsToken: !place.isMirror }
}

async function openModelOrSayWhere(
  place: ModelPlace,
  wish: ModelWish,
  dirs: readonly string[],
  signal: AbortSignal,
): Promise<ModelSource> {
  try {
    return await openPlace(place, wish, signal)
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
    if (!['HUB_NOT_FOUND', 'UNKNOWN_MODEL'].includes(error.code)) throw error
    throw new SwarmError(
      'UNKNOWN_MODEL',
      `Model ${place.repo} is neither on ${place.hubUrl} nor in ${dirs.join(', ')}`,
      {
        action: 'Correct --model, or name its folder with --models-dir.',
        cause: error,
      },
    )
  }
}

async function offerOf(source: ModelSource, place: ModelPlace): Promise<ModelOffer> {
  const config = parseLlamaConfig(await source.json('config.json'))
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
