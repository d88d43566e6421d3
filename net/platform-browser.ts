/** Transports of a tab: the browser's own WebSocket and RTCPeerConnection. */
import { webRTC } from '@libp2p/webrtc'
import type { Platform } from './platform.ts'
import { explainedWebSockets } from './websockets.ts'

export const browserPlatform: Platform = {
  kind: 'browser',
  webRtc: (init) => webRTC(init),
  webSockets: () => explainedWebSockets(),
  hold: () => () => undefined,
}
