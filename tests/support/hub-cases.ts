/**
 * What a hub can do wrong, each with what a person is to read. The same table is asked through `tabswarm prompt`, through
 * `tabswarm donate` and on the page: a case has a repository of its own, so that all can be tried at the same time.
 */
import { join } from 'node:path'
import type { ErrorCode } from '../../swarm/errors.ts'
import { startHubStandIn, type FaultRule, type HubStandIn } from './hub-stand-in.ts'
import { REPO_ROOT } from './processes.ts'

/** The only token that gated and private models of the table take, and one that is known and has no access. */
export const MEMBER = 'hf_memberTokenOfTheStandIn'
export const OUTSIDER = 'hf_outsiderTokenOfTheStandIn'
export const UNKNOWN_TOKEN = 'hf_unknownTokenOfTheStandIn'

export interface HubCase {
  name: string
  /** `cases/NAME` unless it does not exist. */
  repo: string
  token?: string
  revision?: string
  faults: Omit<FaultRule, 'path'>[]
  /** Part of the address that the faults strike; all of the repository's by default. */
  at?: string
  code: ErrorCode
  /** In the person's sentence; `HUB` stands for the hub's host. */
  says: string
  /** And what they can do. */
  does: string
  /** A page cannot see what the command line sees: other words there. */
  onPage?: { code?: ErrorCode; says: string }
}

const resolve = (fault: FaultRule['fault'], times?: number): Omit<FaultRule, 'path'> => ({
  at: 'resolve',
  fault,
  ...(times === undefined ? {} : { times }),
})

/** Where the small files' content is, behind the redirect. */
const CONTENT = 'resolve-cache/.*/config.json'

/** Strike before any weights are read: in the API and in the small files. */
export const SMALL_FILE_CASES: readonly HubCase[] = [
  {
    name: 'gated, nobody signed in: 401 with its JSON',
    repo: 'cases/gated',
    faults: [],
    code: 'HUB_GATED',
    says: 'cases/gated is gated on HUB (401): you are not signed in.',
    does: 'Open http://HUB/cases/gated and accept the licence, then sign in (`hf auth login`',
  },
  {
    name: 'gated, the account has no access: 403 with its JSON',
    repo: 'cases/gated',
    token: OUTSIDER,
    faults: [],
    code: 'HUB_GATED',
    says: 'cases/gated is gated on HUB (403): the account that the token belongs to has not been given access',
    does: 'Open http://HUB/cases/gated, accept the licence with that account',
  },
  {
    name: 'a token that the hub does not know: 401',
    repo: 'cases/gated',
    token: UNKNOWN_TOKEN,
    faults: [],
    code: 'HUB_UNAUTHORIZED',
    says: 'HUB did not accept the access token (401).',
    does: 'Create a new token and sign in',
  },
  {
    name: 'no such model, nobody signed in: 401',
    repo: 'cases/nothing',
    faults: [],
    code: 'HUB_NOT_FOUND',
    says: 'HUB has no model cases/nothing (401), or it is private and you are not signed in.',
    does: 'Check the name at http://HUB; for a private model sign in',
  },
  {
    name: 'no such model, signed in: 404',
    repo: 'cases/nothing',
    token: MEMBER,
    faults: [],
    code: 'HUB_NOT_FOUND',
    says: 'HUB has no model cases/nothing (404), or the token may not read it.',
    does: 'Check the name at http://HUB',
  },
  {
    name: 'no such revision: 404',
    repo: 'cases/branch',
    revision: 'nightly',
    faults: [],
    code: 'HUB_NOT_FOUND',
    says: 'cases/branch on HUB has no revision "nightly" (404).',
    does: 'Name a branch, a tag or a commit that the model has',
  },
  {
    name: '403 that is not a gate',
    repo: 'cases/forbidden',
    faults: [resolve({ kind: 'status', status: 403, json: { error: 'Forbidden: your plan does not include this' } })],
    at: '/config.json',
    code: 'HUB_UNAUTHORIZED',
    says: 'HUB does not allow config.json of cases/forbidden to be read (403).',
    does: 'Please sign in',
  },
  {
    name: '429 that asks for two minutes',
    repo: 'cases/limited',
    faults: [{ at: 'api', fault: { kind: 'status', status: 429, headers: { 'Retry-After': '120' } } }],
    code: 'HUB_RATE_LIMITED',
    says: 'HUB limits how often it may be asked (429).',
    does: 'Try again in 120 seconds; signed-in users may ask more often.',
    // `Retry-After` is not a header that pages may see.
    onPage: { says: 'HUB limits how often it may be asked (429).' },
  },
  {
    name: '503 that lasts',
    repo: 'cases/broken',
    faults: [resolve({ kind: 'status', status: 503, text: '<html>upstream</html>' })],
    at: '/config.json',
    code: 'HUB_ERROR',
    says: 'HUB answered 503 when asked for config.json of cases/broken.',
    does: 'The hub has a problem of its own: try again in a few minutes.',
  },
  {
    name: 'a connection that is cut again and again',
    repo: 'cases/cut',
    faults: [resolve({ kind: 'cut', afterBytes: 100 })],
    at: CONTENT,
    code: 'HUB_CUT',
    says: 'the connection to HUB broke while config.json was read, at byte',
    does: 'Start again when the network is better',
  },
  {
    name: 'a connection that is closed without an answer',
    repo: 'cases/dropped',
    faults: [resolve({ kind: 'drop' })],
    code: 'HUB_UNREACHABLE',
    says: 'HUB could not be reached (5 tries).',
    does: 'Check the network and the hub URL',
  },
  {
    name: 'something that is not a hub',
    repo: 'cases/proxy',
    faults: [{ at: 'api', fault: { kind: 'status', status: 200, text: '<html>Welcome to the airport</html>' } }],
    code: 'HUB_ERROR',
    says: 'HUB does not answer as a Hugging Face hub does: its answer is not the one that a hub gives.',
    does: 'Check the hub URL.',
  },
  {
    name: 'a listing under another commit than was asked for',
    repo: 'cases/moved',
    faults: [resolve({ kind: 'header', name: 'X-Repo-Commit', value: 'f'.repeat(40) })],
    at: CONTENT,
    code: 'HUB_CHANGED',
    says: 'config.json of cases/moved changed on HUB while it was read: it answered for commit ffff',
    does: 'Nothing of it was loaded.',
  },
]

const readable = { 'Access-Control-Allow-Origin': '*' }
const storage = (fault: FaultRule['fault']): Omit<FaultRule, 'path'>[] => [{ at: 'storage', fault }]

/** Strike where the weights are: a donor meets them, a prompter never reads so far. */
export const WEIGHT_CASES: readonly HubCase[] = [
  {
    name: '200 in place of 206',
    repo: 'weights/whole',
    faults: storage({ kind: 'whole' }),
    code: 'HUB_BAD_RANGE',
    says: 'HUB was asked for part of model-00001-of-00005.safetensors and answered 200 with something else than that part (rule 13).',
    does: 'Nothing of it was loaded. Use a hub or mirror that answers range requests.',
  },
  {
    name: 'another range than was asked for',
    repo: 'weights/shifted',
    faults: storage({ kind: 'shifted' }),
    code: 'HUB_BAD_RANGE',
    says: 'HUB was asked for part of model-00001-of-00005.safetensors and sent bytes 0-6 in place of 0-7 (rule 13).',
    does: 'Nothing of it was loaded.',
  },
  {
    name: '416',
    repo: 'weights/unsatisfiable',
    faults: storage({ kind: 'status', status: 416, headers: readable }),
    code: 'HUB_BAD_RANGE',
    says: 'HUB does not have the bytes of model-00001-of-00005.safetensors of weights/unsatisfiable that were asked for (416).',
    does: 'Start again; if it happens again, the file on the hub is not the one its listing describes.',
  },
  {
    name: 'a signed address that has expired: 403',
    repo: 'weights/expired',
    faults: storage({ kind: 'status', status: 403, headers: readable, text: '<Error>Request has expired</Error>' }),
    code: 'HUB_UNAUTHORIZED',
    says: 'HUB does not allow model-00001-of-00005.safetensors of weights/expired to be read (403).',
    does: 'Please sign in',
  },
  {
    name: 'weights that are cut again and again',
    repo: 'weights/cut',
    faults: storage({ kind: 'cut', afterBytes: 2_000 }),
    code: 'HUB_CUT',
    says: 'the connection to HUB broke while model-00001-of-00005.safetensors was read, at byte',
    does: 'Start again when the network is better: what was already fetched and cached is not fetched again.',
  },
  {
    name: 'a storage host that fails: 500',
    repo: 'weights/failing',
    faults: storage({ kind: 'status', status: 500, headers: readable }),
    code: 'HUB_ERROR',
    says: 'HUB answered 500 when asked for model-00001-of-00005.safetensors of weights/failing.',
    does: 'The hub has a problem of its own',
  },
]

export const CASE_MODEL = join(REPO_ROOT, 'tests/fixtures/models/untied-bf16-sharded')

/** A stand-in in Xet style whose repositories misbehave as the table says. */
export async function startCaseHub(cases: readonly HubCase[], extra: Record<string, string> = {}): Promise<HubStandIn> {
  const names = cases.map(({ repo }) => repo).filter((repo) => repo !== 'cases/nothing')
  const hub = await startHubStandIn({
    models: { ...Object.fromEntries(names.map((name) => [name, CASE_MODEL])), ...extra },
    storage: 'xet',
    gated: { 'cases/gated': { tokens: [MEMBER] } },
    knownTokens: [MEMBER, OUTSIDER],
  })
  for (const { repo, faults, at } of cases) {
    const path = at === CONTENT ? CONTENT.replace('.*', `models/${repo}/.*`) : `${repo}\\b.*${at ?? ''}`
    for (const rule of faults) hub.faults.push({ ...rule, path: new RegExp(path) })
  }
  return hub
}

/** The sentence with the hub's own host in it. */
export function inWords(text: string, hub: HubStandIn): string {
  return text.replaceAll('HUB', new URL(hub.url).host)
}
