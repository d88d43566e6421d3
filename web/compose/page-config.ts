/**
 * What this page is to do: `/config.json` of the server it came from, and the link's query parameters over it. A link only
 * prefills: relays that only the link names are kept apart, and are joined after a click.
 */
import {
  checkConfigVersion,
  TAB_HOST,
  type AppConfig,
  type DonorDefaults,
  type ModelOffer,
} from '../../swarm/app-config.ts'
import { DONOR_QUERY_NAMES, readDonorQuery } from '../../swarm/donor-settings.ts'
import { SwarmError, toPlainError, type PlainError } from '../../swarm/errors.ts'
import { VIEWS } from '../ui/state/navigation.ts'
import type { LinkNote, ModelChoice } from '../ui/state/ports.ts'
import { isAppConfig } from './check-app-config.ts'

/** The model that comes with the project. */
const EMBEDDED_MODEL = 'tinytales'

export interface PageConfig {
  app: AppConfig
  offers: ModelChoice[]
  /** Where models that are not on offer are read. */
  hubUrl: string
  /** Defaults of the server with the link's over them. */
  donor: DonorDefaults
  /** What is wrong with the link; said where it matters, nothing is guessed. */
  linkError: PlainError | null
  /** What the link has and the page does not know; left out. */
  linkNotes: LinkNote[]
  /** `repo` or `repo@revision` that the link or the server asks for. */
  wantedModel: string | null
  /** Relay addresses as written in the link that `/config.json` does not name. */
  linkRelays: string[]
  /** Identity number of this tab within its profile, as the command line gives its headless tabs; null: a person's tab. */
  tab: number | null
  /** A tab of the command line: nobody looks at it, and whoever started it knows the machine. */
  isUnattended: boolean
}

/** @throws SwarmError NO_RELAY when the server does not answer as a relay does, WRONG_VERSION when it is of another one */
export async function loadPageConfig(base: URL): Promise<PageConfig> {
  return mergeConfig(await fetchConfig(new URL('config.json', base)), base)
}

export function mergeConfig(app: AppConfig, base: URL): PageConfig {
  let link: DonorDefaults = {}
  let linkError: PlainError | null = null
  let tab: number | null = null
  try {
    link = readDonorQuery(base.searchParams)
    tab = parseTab(base.searchParams.get('tab'))
  } catch (error) {
    linkError = toPlainError(error)
  }
  const donor = { ...app.donor, ...link }
  const revision = donor.revision === undefined ? '' : `@${donor.revision}`
  return {
    app,
    offers: app.models.map((offer) => toChoice(offer, base)),
    hubUrl: new URL(app.hubUrl, base).href.replace(/\/$/, ''),
    donor,
    linkError,
    linkNotes: notesOn(base),
    wantedModel: donor.model === undefined ? null : `${donor.model}${revision}`,
    linkRelays: (link.initialPeers ?? []).filter((address) => !app.relays.some((known) => isSameRelay(known, address))),
    tab,
    isUnattended: base.hostname === TAB_HOST,
  }
}

/** @throws SwarmError BAD_OPTION */
function parseTab(text: string | null): number | null {
  if (text === null || text === '') return null
  if (/^\d{1,4}$/.test(text)) return Number(text)
  throw new SwarmError('BAD_OPTION', `tab is "${text.slice(0, 40)}", which is not a number of a tab.`, {
    action: 'Give tab a whole number from 0, or leave it out.',
  })
}

const PAGE_QUERY_NAMES = ['donate', 'tab']
const MAX_NOTES = 3
const MAX_NAME_CHARS = 40

function notesOn(base: URL): LinkNote[] {
  const known: readonly string[] = [...DONOR_QUERY_NAMES, ...PAGE_QUERY_NAMES]
  const unknown = [...new Set(base.searchParams.keys())].filter((name) => !known.includes(name))
  const view = base.hash.slice(1)
  const notes: LinkNote[] = unknown.map((name) => ({ kind: 'parameter', name: name.slice(0, MAX_NAME_CHARS) }))
  // The skip link's target is a place in the page, not a view.
  if (view !== '' && view !== 'content' && !VIEWS.some((name) => name === view)) {
    notes.unshift({ kind: 'view', name: view.slice(0, MAX_NAME_CHARS) })
  }
  return notes.slice(0, MAX_NOTES)
}

function toChoice(offer: ModelOffer, base: URL): ModelChoice {
  return {
    repo: offer.repo,
    revision: offer.revision,
    hubUrl: new URL(offer.hubUrl, base).href.replace(/\/$/, ''),
    blocks: offer.blocks,
    sizeBytes: offer.sizeBytes,
    description: offer.description ?? null,
    source: 'offer',
    embedded: offer.repo === EMBEDDED_MODEL && offer.hubUrl.startsWith('/'),
  }
}

/** The same relay by its peer id: its addresses may be many. */
export function isSameRelay(a: string, b: string): boolean {
  const id = (address: string) => address.split('/p2p/').at(-1)
  return id(a) === id(b)
}

async function fetchConfig(url: URL): Promise<AppConfig> {
  let value: unknown
  try {
    const response = await fetch(url, { cache: 'no-store' })
    if (!response.ok) throw new Error(`status ${response.status}`)
    value = await response.json()
  } catch (cause) {
    throw new SwarmError('NO_RELAY', `${url.pathname} of the server that this page came from could not be read`, {
      retryable: true,
      cause,
    })
  }
  checkConfigVersion(value, url.origin)
  if (!isAppConfig(value, url))
    throw new SwarmError('WRONG_VERSION', `${url.pathname} is not one that this page understands`)
  return value
}
