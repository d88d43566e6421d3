/**
 * From a hub's refusal to one sentence and one action. The hub says what it means by status, by `X-Error-Code` where a page
 * may see it, and by the JSON of its body; codes as huggingface_hub's `hf_raise_for_status` reads them.
 */
import { SwarmError } from '../swarm/errors.ts'

/** What was asked for, so that the sentence can name it. */
export interface HubRequestContext {
  /** Origin and base path of the hub. */
  hubUrl: string
  repo: string
  /** As asked for by the person, or the commit it was pinned to. */
  revision: string
  /** Set for a file; unset for the API. */
  file?: string
  /** Whether a token was sent with it. */
  signedIn: boolean
  /** Whether `revision` is a commit this source has seen before. */
  pinned: boolean
}

/** The part of an answer that decides which error it is. */
export interface HubRefusal {
  status: number
  /** `X-Error-Code`, or null where hidden. */
  code: string | null
  /** The server's own words, cleaned and cut. */
  text: string
}

const SIGN_IN = 'sign in (`hf auth login` for the command line, or paste a token on the page)'
const MAX_SERVER_TEXT = 300
/** Enough for any error JSON; a page of HTML is cut. */
const MAX_BODY_BYTES = 16 * 1024

export async function readRefusal(response: Response): Promise<HubRefusal> {
  const body = await readSome(response)
  const header = response.headers.get('X-Error-Message')
  return {
    status: response.status,
    code: response.headers.get('X-Error-Code'),
    text: clean(header ?? messageOf(body)),
  }
}

/** The error for any status that is not a success. */
export function refusalError(refusal: HubRefusal, context: HubRequestContext): SwarmError {
  const { repo, revision } = context
  const host = hostOf(context.hubUrl)
  const details = { status: refusal.status, repo, host, server: refusal.text, file: context.file ?? '' }
  const page = `${context.hubUrl}/${repo}`
  const what = context.file === undefined ? repo : `${context.file} of ${repo}`
  const { status } = refusal

  if (isGated(refusal)) {
    const who = context.signedIn
      ? 'the account that the token belongs to has not been given access, or the token may not read gated models'
      : 'you are not signed in'
    const action = context.signedIn
      ? `Open ${page}, accept the licence with that account, and allow the token to read gated models.`
      : `Open ${page} and accept the licence, then ${SIGN_IN}.`
    return new SwarmError('HUB_GATED', `${repo} is gated on ${host} (${status}): ${who}.`, {
      details: { ...details, page },
      action,
    })
  }
  if (refusal.code === 'RepoNotFound' || (status === 404 && context.file === undefined && refusal.code === null)) {
    const or = context.signedIn ? 'the token may not read it' : 'it is private and you are not signed in'
    return new SwarmError('HUB_NOT_FOUND', `${host} has no model ${repo} (${status}), or ${or}.`, {
      details: { ...details, missing: 'model' },
      action: `Check the name at ${context.hubUrl}; for a private model ${SIGN_IN}.`,
    })
  }
  if (refusal.code === 'RevisionNotFound') {
    if (context.pinned) return changedError(context, `commit ${revision} is gone`)
    return new SwarmError('HUB_NOT_FOUND', `${repo} on ${host} has no revision "${revision}" (${status}).`, {
      details: { ...details, missing: 'revision' },
      action: 'Name a branch, a tag or a commit that the model has, or leave the revision out.',
    })
  }
  switch (status) {
    case 401:
      return new SwarmError(
        'HUB_UNAUTHORIZED',
        context.signedIn
          ? `${host} did not accept the access token (401).`
          : `${host} asks who you are before it gives ${what} (401).`,
        { details, action: context.signedIn ? `Create a new token and ${SIGN_IN} with it.` : `Please ${SIGN_IN}.` },
      )
    case 403:
      return new SwarmError('HUB_UNAUTHORIZED', `${host} does not allow ${what} to be read (403).`, {
        details,
        action: context.signedIn ? 'Use a token that may read this model.' : `Please ${SIGN_IN}.`,
      })
    case 404:
      return new SwarmError('HUB_NOT_FOUND', `${host} has no ${what} (404).`, {
        details,
        action: 'Choose another model or revision: this one is incomplete.',
      })
    case 416:
      return new SwarmError('HUB_BAD_RANGE', `${host} does not have the bytes of ${what} that were asked for (416).`, {
        details,
        action: 'Start again; if it happens again, the file on the hub is not the one its listing describes.',
      })
    case 429:
      return rateLimited(context, null)
    default:
      return new SwarmError('HUB_ERROR', `${host} answered ${status} when asked for ${what}.`, {
        details,
        retryable: status >= 500,
        action: status >= 500 ? 'The hub has a problem of its own: try again in a few minutes.' : 'Check the hub URL.',
      })
  }
}

/** 429 that outlasted the retries; `waitSeconds` is what the hub asked for, if it said. */
export function rateLimited(context: HubRequestContext, waitSeconds: number | null): SwarmError {
  const host = hostOf(context.hubUrl)
  const wait = waitSeconds === null ? 'a few minutes' : `${Math.ceil(waitSeconds)} seconds`
  return new SwarmError('HUB_RATE_LIMITED', `${host} limits how often it may be asked (429).`, {
    retryable: true,
    details: { status: 429, host, ...(waitSeconds === null ? {} : { waitSeconds }) },
    action: context.signedIn ? `Try again in ${wait}.` : `Try again in ${wait}; signed-in users may ask more often.`,
  })
}

/** No answer at all. A page cannot tell a dead host from one that does not allow pages (CORS). */
export function unreachable(context: HubRequestContext, tries: number, cause: unknown): SwarmError {
  const host = hostOf(context.hubUrl)
  return new SwarmError('HUB_UNREACHABLE', `${host} could not be reached (${tries} tries).`, {
    retryable: true,
    cause,
    details: { host, tries },
    action:
      'Check the network and the hub URL. A hub of your own must also allow pages of this address (CORS), and --hub-cdn of the relay must name the hosts that it redirects to.',
  })
}

/** The connection broke and resuming did not help. */
export function cutError(context: HubRequestContext, got: number, expected: number, cause: unknown): SwarmError {
  const host = hostOf(context.hubUrl)
  return new SwarmError(
    'HUB_CUT',
    `the connection to ${host} broke while ${context.file ?? context.repo} was read, at byte ${got} of ${expected}.`,
    {
      retryable: true,
      cause,
      details: { host, got, expected, file: context.file ?? '' },
      action: 'Start again when the network is better: what was already fetched and cached is not fetched again.',
    },
  )
}

/** An answer to a range request that is not that range. */
export function badRange(context: HubRequestContext, what: string): SwarmError {
  const host = hostOf(context.hubUrl)
  return new SwarmError('HUB_BAD_RANGE', `${host} was asked for part of ${context.file ?? context.repo} and ${what}.`, {
    details: { host, rule: 13, file: context.file ?? '' },
    action: 'Nothing of it was loaded. Use a hub or mirror that answers range requests.',
  })
}

/** What is on the hub is not what was pinned. */
export function changedError(context: HubRequestContext, what: string): SwarmError {
  const host = hostOf(context.hubUrl)
  const file = context.file === undefined ? '' : `${context.file} of `
  return new SwarmError('HUB_CHANGED', `${file}${context.repo} changed on ${host} while it was read: ${what}.`, {
    details: { host, repo: context.repo, file: context.file ?? '' },
    action: 'Nothing of it was loaded. Start again to use what the hub has now.',
  })
}

export function hostOf(url: string): string {
  return new URL(url).host
}

function isGated(refusal: HubRefusal): boolean {
  if (refusal.status !== 401 && refusal.status !== 403) return false
  if (refusal.code !== null) return refusal.code === 'GatedRepo'
  return /\bgated\b|access to model .* is restricted/i.test(refusal.text)
}

function messageOf(body: string): string {
  try {
    const json: unknown = JSON.parse(body)
    const error = (json as { error?: unknown; message?: unknown } | null)?.error
    if (typeof error === 'string') return error
    const message = (json as { message?: unknown } | null)?.message
    return typeof message === 'string' ? message : ''
  } catch {
    // Not JSON: a proxy's page, of which a first line is worth keeping.
    return body.startsWith('<') ? '' : body
  }
}

/** Server text goes into messages that people read: one line, no control or direction characters. */
function clean(text: string): string {
  return text
    .replaceAll(/[\p{Cc}\p{Cf}\s]+/gu, ' ')
    .trim()
    .slice(0, MAX_SERVER_TEXT)
}

async function readSome(response: Response): Promise<string> {
  const reader = response.body?.getReader()
  if (reader === undefined) return ''
  const decoder = new TextDecoder()
  let text = ''
  try {
    while (text.length < MAX_BODY_BYTES) {
      const { done, value } = await reader.read()
      if (done) return text
      text += decoder.decode(value, { stream: true })
    }
    await reader.cancel()
  } catch {
    // The status already says what happened; a body that breaks off adds nothing.
  }
  return text.slice(0, MAX_BODY_BYTES)
}
