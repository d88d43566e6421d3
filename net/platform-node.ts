/**
 * Transports of a Node process, which talks WebRTC to tabs through node-datachannel (chosen by @libp2p/webrtc itself; its
 * binary comes in an optional package, without a compiler).
 */
import './compat.ts'
import './websocket-node.ts'
import { webRTC } from '@libp2p/webrtc'
import { cleanup } from 'node-datachannel'
import type { Platform } from './platform.ts'
import { holdCandidatesUntilAnswered } from './webrtc-node-race.ts'
import { explainedWebSockets } from './websockets.ts'

holdCandidatesUntilAnswered()

let running = 0

export const nodePlatform: Platform = {
  kind: 'node',
  webRtc: (init) => webRTC(init),
  webSockets: () => explainedWebSockets(),
  hold() {
    running += 1
    return () => {
      running -= 1
      // Native threads keep the process alive after a connection that ended while streams were open.
      if (running === 0) cleanup()
    }
  },
}
