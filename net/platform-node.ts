/**
 * Transports of a Node process, which talks WebRTC to tabs through node-datachannel (chosen by @libp2p/webrtc itself; its
 * binary comes in an optional package, without a compiler). Node 20 has no global WebSocket, which the transport uses.
 */
import './compat.ts'
import { webRTC } from '@libp2p/webrtc'
import { webSockets } from '@libp2p/websockets'
import { WebSocket as WsWebSocket } from 'ws'
import type { Platform } from './platform.ts'
import { holdCandidatesUntilAnswered } from './webrtc-node-race.ts'

holdCandidatesUntilAnswered()

/** Can go together with `compat.ts` when Node 22 is the least supported version. */
if (typeof globalThis.WebSocket === 'undefined') {
  Object.defineProperty(globalThis, 'WebSocket', { value: WsWebSocket, configurable: true, writable: true })
}

export const nodePlatform: Platform = {
  kind: 'node',
  webRtc: (init) => webRTC(init),
  webSockets: () => webSockets(),
}
