/**
 * Which model, at which revision, read from where: an explicitly named hub, else what a relay of the swarm offers under
 * that name (its mirror or its hub), else the default hub. Everybody in a swarm must come to the same commit.
 */
import { openModel, type ModelSource } from '../../hub/source.ts'
import type { ModelOffer } from '../../swarm/app-config.ts'
import { SwarmError } from '../../swarm/errors.ts'
import type { RelayEntry } from './app-config.ts'

export interface ModelWish {
  /** undefined: the first model on offer. */
  model: string | undefined
  revision: string | undefined
  hubUrl: string
  /** Whether somebody named the hub: then offers of relays do not count. */
  hubUrlGiven: boolean
  token: string | null
}

export interface ModelPlace {
  repo: string
  revision: string
  hubUrl: string
  /** On the mirror of a relay: never gets the hub token. */
  isMirror: boolean
}

/** @throws SwarmError UNKNOWN_MODEL */
export function chooseModel(wish: ModelWish, entries: readonly RelayEntry[]): ModelPlace {
  const offer = findOffer(wish.model, entries)
  if (wish.model === undefined && offer === null) {
    throw new SwarmError('UNKNOWN_MODEL', 'No model was named, and no relay of the swarm offers one', {
      action: 'Name one with --model.',
    })
  }
  if (offer !== null && !wish.hubUrlGiven) {
    const hubUrl = new URL(offer.model.hubUrl, offer.entry.origin).href.replace(/\/$/, '')
    const isMirror = offer.model.hubUrl.startsWith('/')
    return { repo: offer.model.repo, revision: wish.revision ?? offer.model.revision, hubUrl, isMirror }
  }
  const repo = wish.model ?? offer?.model.repo ?? ''
  return { repo, revision: wish.revision ?? 'main', hubUrl: wish.hubUrl, isMirror: false }
}

function findOffer(
  model: string | undefined,
  entries: readonly RelayEntry[],
): { entry: RelayEntry; model: ModelOffer } | null {
  for (const entry of entries) {
    const found = entry.config.models.find((offered) => model === undefined || offered.repo === model)
    if (found !== undefined) return { entry, model: found }
  }
  return null
}

export interface OpenPlaceOptions {
  signal: AbortSignal
  /** Told when the hub is waited for. */
  onWait: (sentence: string) => void
}

/** Pins the revision to a commit. The token goes only to the hub that was configured. */
export async function openPlace(place: ModelPlace, wish: ModelWish, options: OpenPlaceOptions): Promise<ModelSource> {
  return openModel({
    repo: place.repo,
    revision: place.revision,
    hubUrl: place.hubUrl,
    // Sent only where `hubUrl` is the configured hub; a mirror never gets it, whatever its address.
    tokenHubUrl: wish.hubUrl,
    ...options,
    ...(wish.token === null || place.isMirror ? {} : { token: wish.token }),
  })
}
