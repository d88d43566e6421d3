/**
 * Starts Workers under Trusted Types: the page's policy allows exactly one policy, `tabswarm`, and that one lets through
 * script addresses of the page's own origin and nothing else. No policy of it makes HTML or script text.
 */

interface ScriptPolicy {
  createScriptURL(url: string): string
}
interface PolicyFactory {
  createPolicy(name: string, rules: { createScriptURL: (url: string) => string }): ScriptPolicy
}

const rules = {
  createScriptURL(url: string): string {
    const { origin } = new URL(url, location.href)
    if (origin !== location.origin) throw new TypeError(`a worker from ${origin} is not of this page`)
    return url
  },
}

/** Browsers without Trusted Types get the same check. */
const policy: ScriptPolicy =
  (globalThis as { trustedTypes?: PolicyFactory }).trustedTypes?.createPolicy('tabswarm', rules) ?? rules

/** `url` comes from an import with `?worker&url`, so that the build bundles the worker. */
export function startWorker(url: string, name: string): Worker {
  return new Worker(policy.createScriptURL(url), { type: 'module', name })
}
