/** The hub's URL layout and what may be put into it. */
import { SwarmError } from '../swarm/errors.ts'

const REPO = /^[A-Za-z0-9][\w.-]{0,95}(?:\/[A-Za-z0-9][\w.-]{0,95})?$/
const REVISION = /^[\w][\w./-]{0,199}$/

/** @throws SwarmError UNKNOWN_MODEL */
export function requireRepo(repo: string): string {
  if (REPO.test(repo) && !repo.includes('..')) return repo
  throw new SwarmError('UNKNOWN_MODEL', `${JSON.stringify(repo.slice(0, 200))} is not the name of a model`, {
    action: 'Write it as on the hub: owner/name.',
  })
}

/** @throws SwarmError BAD_OPTION */
export function requireRevision(revision: string): string {
  if (REVISION.test(revision) && !revision.includes('..')) return revision
  throw new SwarmError('BAD_OPTION', `${JSON.stringify(revision.slice(0, 200))} is not the name of a revision`, {
    action: 'Name a branch, a tag or a commit.',
  })
}

/** An absolute base without a trailing slash; in a page a path is relative to the page's origin. @throws SwarmError BAD_OPTION */
export function normalizeHubUrl(hubUrl: string): string {
  const base = (globalThis as { location?: { href: string } }).location?.href
  const url = URL.canParse(hubUrl, base) ? new URL(hubUrl, base) : null
  const plain = url !== null && url.username === '' && url.password === '' && url.search === '' && url.hash === ''
  if (url === null || !plain || (url.protocol !== 'https:' && url.protocol !== 'http:')) {
    throw new SwarmError('BAD_OPTION', `${JSON.stringify(hubUrl.slice(0, 200))} is not the address of a hub`, {
      action: 'Write it as https://huggingface.co, without a query.',
    })
  }
  return (url.origin + url.pathname).replace(/\/+$/, '')
}

export function originOf(url: string): string {
  return new URL(url).origin
}

export function fileUrl(hubUrl: string, repo: string, revision: string, file: string): string {
  const path = file.split('/').map(encodeURIComponent).join('/')
  return `${hubUrl}/${repo}/resolve/${encodeURIComponent(revision)}/${path}`
}
