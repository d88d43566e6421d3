/**
 * Which `Host` a request may name. A page on another site whose name suddenly resolves to this machine (DNS rebinding)
 * carries that site's name and is refused; loopback names, plain addresses and names the operator gave pass.
 */
import { isIP } from 'node:net'
import { isLoopbackAddress } from '../addresses.ts'

/** Host name without port and brackets, lower case; null when it is no host at all. */
export function hostName(header: string | undefined): string | null {
  if (header === undefined || header.length > 255) return null
  const match = /^(?:\[([0-9a-f:.]+)\]|([a-z0-9_.-]+))(?::\d{1,5})?$/iu.exec(header)
  const name = match?.[1] ?? match?.[2]
  return name === undefined ? null : name.toLowerCase().replace(/\.$/u, '')
}

export function isAllowedHost(header: string | undefined, publicHosts: readonly string[]): boolean {
  const name = hostName(header)
  if (name === null) return false
  return isIP(name) !== 0 || isLoopbackName(name) || publicHosts.some((host) => host.toLowerCase() === name)
}

/** Whether a page opened under this host is on this machine: `localhost`, `*.localhost`, a loopback address. */
export function isLoopbackHost(header: string | undefined): boolean {
  const name = hostName(header)
  return name !== null && (isLoopbackName(name) || (isIP(name) !== 0 && isLoopbackAddress(name)))
}

function isLoopbackName(name: string): boolean {
  return name === 'localhost' || name.endsWith('.localhost')
}
