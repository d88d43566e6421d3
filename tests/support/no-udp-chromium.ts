/** A Chromium whose WebRTC may use no UDP, as on networks that drop it: the browser's own switch, not a stub of ours. */
import { chmodSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { findChromium } from './browser.ts'

export const NO_UDP_FLAG = '--webrtc-ip-handling-policy=disable_non_proxied_udp'

/** The path of a command that starts it, in `folder`. */
export function chromiumWithoutUdp(folder: string): string {
  const file = join(folder, 'chromium-without-udp')
  writeFileSync(file, `#!/bin/sh\nexec '${findChromium()}' ${NO_UDP_FLAG} "$@"\n`)
  chmodSync(file, 0o755)
  return file
}
