/** Transports of a tab: the browser's own WebSocket and RTCPeerConnection. */
import { webRTC } from '@libp2p/webrtc'
import { webSockets } from '@libp2p/websockets'
import type { Platform } from './platform.ts'

export const browserPlatform: Platform = {
  kind: 'browser',
  webRtc: (init) => webRTC(init),
  webSockets: () => webSockets(),
  hold: () => () => undefined,
}
