/**
 * Security headers of everything that is served. The page runs no inline script, no eval and no foreign script; it may
 * talk to its own origin, to relays and to model hubs. `connect-src` does not govern WebRTC, so this is a fence against
 * injected scripts, not against a hostile page.
 */
import { isLoopbackHost } from './host.ts'

export interface HeaderOptions {
  /** Host header of the request, already checked. */
  host: string | undefined
  /** It came by https. */
  isSecure: boolean
  /** Bases of hubs that the page may read models from. */
  hubUrls: readonly string[]
  /** Further origins that those hubs redirect to. */
  hubCdnOrigins: readonly string[]
}

/** Where the public hub and its content network live; redirects are checked against `connect-src` too. */
const HUGGING_FACE = ['https://huggingface.co', 'https://*.huggingface.co', 'https://*.hf.co']

const PERMISSIONS_POLICY = [
  ...[
    'accelerometer',
    'autoplay',
    'camera',
    'display-capture',
    'encrypted-media',
    'geolocation',
    'gyroscope',
    'hid',
    'magnetometer',
    'microphone',
    'midi',
    'payment',
    'picture-in-picture',
    'publickey-credentials-get',
    'serial',
    'usb',
    'xr-spatial-tracking',
  ].map((name) => `${name}=()`),
  'clipboard-write=(self)',
  'screen-wake-lock=(self)',
].join(', ')

export function securityHeaders(options: HeaderOptions): Record<string, string> {
  return {
    'content-security-policy': contentSecurityPolicy(options),
    'cross-origin-opener-policy': 'same-origin',
    // Safari lacks `credentialless`; hub downloads use CORS and pass.
    'cross-origin-embedder-policy': 'require-corp',
    'cross-origin-resource-policy': 'same-origin',
    'x-content-type-options': 'nosniff',
    'referrer-policy': 'no-referrer',
    'permissions-policy': PERMISSIONS_POLICY,
    // Half a year. Browsers ignore it for addresses, and where it came by plain http.
    ...(options.isSecure ? { 'strict-transport-security': 'max-age=15552000' } : {}),
  }
}

function contentSecurityPolicy(options: HeaderOptions): string {
  return [
    "default-src 'none'",
    // Compiling WebAssembly is allowed by this word alone; `eval` of text is not by it.
    "script-src 'self' 'wasm-unsafe-eval'",
    "style-src 'self'",
    "worker-src 'self'",
    "img-src 'self' data:",
    "manifest-src 'self'",
    `connect-src ${connectSources(options).join(' ')}`,
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    "require-trusted-types-for 'script'",
    'trusted-types tabswarm',
  ].join('; ')
}

function connectSources({ host, isSecure, hubUrls, hubCdnOrigins }: HeaderOptions): string[] {
  const origins = hubUrls.flatMap(originOf)
  // A stand-in for the hub on this machine redirects to another port of this machine.
  const local = origins.some((origin) => isLoopbackHost(new URL(origin).host) && origin.startsWith('http:'))
    ? ['http://127.0.0.1:*', 'http://localhost:*', 'http://*.localhost:*']
    : []
  // Another relay may be named in the link. A page from this machine may use plain WebSockets anywhere; a page that came
  // over plain HTTP may use its own relay.
  const own = host === undefined || isSecure ? [] : [`ws://${host}`]
  const sockets = isLoopbackHost(host) ? ['ws:', 'wss:'] : ['wss:', ...own]
  return [...new Set(["'self'", ...sockets, ...HUGGING_FACE, ...origins, ...local, ...hubCdnOrigins.flatMap(originOf)])]
}

/** Origin of an absolute http(s) URL as a source expression; nothing for a path of our own. */
function originOf(url: string): string[] {
  return /^https?:\/\//u.test(url) && URL.canParse(url) ? [new URL(url).origin] : []
}
