/**
 * The command line that Chromium is started with. Only switches that Playwright does not set by itself, each with its
 * reason; which adapter a tab gets is decided here and nowhere else.
 */
import { existsSync, readdirSync } from 'node:fs'
import { TAB_HOST } from '../../swarm/app-config.ts'

/** The fixed origin of headless donor tabs: a secure context whose OPFS does not depend on a port. */
export const TAB_ORIGIN = `http://${TAB_HOST}`

/** `none`: what is opened computes without WebGPU. */
export type Adapter = 'real' | 'software' | 'none'

/** `port`: where the page is served on loopback, under `TAB_ORIGIN`; null when no page of ours is opened. */
export function chromiumArgs(options: {
  adapter: Adapter
  port: number | null
  sandbox: boolean
  /** Public keys (base64 of their SHA-256) that are accepted whoever signed them. */
  acceptedKeys?: readonly string[]
}): string[] {
  const { acceptedKeys = [] } = options
  return [
    // QUIC retries would delay the first byte of a hub that does not speak it.
    '--disable-quic',
    '--enable-unsafe-webgpu',
    ...adapterArgs(options.adapter),
    ...(options.port === null ? [] : [`--host-resolver-rules=MAP ${TAB_HOST} 127.0.0.1:${options.port}`]),
    ...(acceptedKeys.length === 0 ? [] : [`--ignore-certificate-errors-spki-list=${acceptedKeys.join(',')}`]),
    ...(options.sandbox ? [] : ['--no-sandbox']),
  ]
}

function adapterArgs(adapter: Adapter): string[] {
  if (adapter === 'none') return []
  if (adapter === 'software') return ['--use-webgpu-adapter=swiftshader']
  // Linux needs Vulkan named; elsewhere the platform's own API is the default.
  if (process.platform === 'linux') return ['--use-angle=vulkan', '--enable-features=Vulkan', '--ignore-gpu-blocklist']
  return ['--ignore-gpu-blocklist']
}

/**
 * Whether asking for a real adapter is worth a browser start. On Linux a GPU shows as a render node or an NVIDIA
 * device; other systems always have one or fall back by themselves.
 */
export function mayHaveGpu(platform: NodeJS.Platform = process.platform): boolean {
  if (platform !== 'linux') return true
  if (existsSync('/dev/nvidia0')) return true
  return existsSync('/dev/dri') && readdirSync('/dev/dri').some((name) => name.startsWith('renderD'))
}

/** Chromium refuses to run its sandbox as root. */
export function isRoot(): boolean {
  return typeof process.getuid === 'function' && process.getuid() === 0
}
