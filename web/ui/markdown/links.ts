/** Which addresses in a model's answer become links. Everything else stays text. */

const ALLOWED = new Set(['http:', 'https:', 'mailto:'])

/** The address to link to, or null: relative, unknown scheme, credentials inside, or not an address at all. */
export function safeHref(href: string): string | null {
  let url: URL
  try {
    url = new URL(href)
  } catch {
    return null
  }
  if (!ALLOWED.has(url.protocol) || url.username !== '' || url.password !== '') return null
  return url.href
}
