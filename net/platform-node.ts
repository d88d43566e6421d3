/**
 * Transports of a Node process, which talks WebRTC to tabs through node-datachannel (chosen by @libp2p/webrtc itself; its
 * binary comes in an optional package, without a compiler).
 */
import './compat.ts'
import './websocket-node.ts'
import { webRTC } from '@libp2p/webrtc'
import { webSockets } from '@libp2p/websockets'
import type { Platform } from './platform.ts'
import { holdCandidatesUntilAnswered } from './webrtc-node-race.ts'

holdCandidatesUntilAnswered()

export const nodePlatform: Platform = {
  kind: 'node',
  webRtc: (init) => webRTC(init),
  webSockets: () => webSockets(),
}
