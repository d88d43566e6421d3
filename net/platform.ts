/** What differs between a tab and a Node process, handed to `node.ts` by `platform-browser.ts` or `platform-node.ts`. */
import type { WebRTCTransportInit } from '@libp2p/webrtc'
import { webRTC } from '@libp2p/webrtc'
import { webSockets } from '@libp2p/websockets'

export type WebRtcFactory = ReturnType<typeof webRTC>
export type WebSocketsFactory = ReturnType<typeof webSockets>

export interface Platform {
  readonly kind: 'browser' | 'node'
  webRtc(init: WebRTCTransportInit): WebRtcFactory
  webSockets(): WebSocketsFactory
  /** Called when a node begins; what it returns is called when that node has stopped. */
  hold(): () => void
}
