/**
 * Build-time patch of @libp2p/webrtc 6.0.33 (both builds and Vitest).
 *
 * Symptom: about one WebRTC dial in fourteen hangs. The answering side may close the `init` data channel while the
 * dialler still adds candidates; the dialler then waits for an `open` or `close` event that has already been.
 * Mend: wait for `open` only while the channel is connecting, and for `close` only if it is not closed yet.
 * It fails the build loudly when the text is not found, or when a build takes the library in unpatched: look whether the
 * library was mended, then remove this file.
 */
const FILE = '/private-to-private/initiate-connection.js'

const EDITS: readonly { from: string; to: string }[] = [
  { from: "if (channel.readyState !== 'open') {", to: "if (channel.readyState === 'connecting') {" },
  {
    from: "await pEvent(channel, 'close', {",
    to: "if (channel.readyState !== 'closed') await pEvent(channel, 'close', {",
  },
]

export function patchWebrtcDial(): {
  name: string
  transform: (code: string, id: string) => { code: string; map: null } | null
  generateBundle: (options: object, bundle: Record<string, { imports?: string[] }>) => void
} {
  return {
    name: 'tabswarm:patch-webrtc-dial',
    transform(code, id) {
      const path = id.split('?')[0] ?? id
      if (!path.replaceAll('\\', '/').endsWith(`@libp2p/webrtc/dist/src${FILE}`)) return null
      return { code: applyPatch(code), map: null }
    },
    // A package that is left in node_modules is loaded from there at run time, as it was published.
    generateBundle(_options, bundle) {
      for (const { imports = [] } of Object.values(bundle)) {
        if (imports.some((name) => name.startsWith('@libp2p/webrtc'))) {
          throw new Error('patch-webrtc-dial: @libp2p/webrtc is left outside of this build, so it is not patched')
        }
      }
    },
  }
}

/** @throws Error when the library's text is no longer the one that was patched */
export function applyPatch(code: string): string {
  return EDITS.reduce((text, edit) => {
    const parts = text.split(edit.from)
    if (parts.length !== 2) {
      throw new Error(`patch-webrtc-dial: "${edit.from}" found ${parts.length - 1} times in ${FILE}, expected once`)
    }
    return parts.join(edit.to)
  }, code)
}
