/**
 * Mends a race of WebRTC in Node (node-datachannel 0.33.4), where one dial in ten broke off and hung for three seconds
 * (measured: 4 of 40 on a busy machine, 0 of 40 with this).
 *
 * Symptom: the answering side begins its connectivity checks and the DTLS handshake as soon as it has our candidates, on
 * native threads. When that reaches us before JavaScript has handed over the answer, there is no fingerprint to check
 * against and the connection closes.
 * Mend: a side that has made an offer keeps its candidates back until it has the answer. Can go when libdatachannel holds
 * packets back that come before the remote description.
 */
import { RTCPeerConnection } from 'node-datachannel/polyfill'

interface HeldBack {
  dispatchEvent(event: Event): boolean
  setRemoteDescription(description: RTCSessionDescriptionInit): Promise<void>
}

export function holdCandidatesUntilAnswered(): void {
  const prototype = RTCPeerConnection.prototype as unknown as HeldBack & RTCPeerConnection
  if (Object.hasOwn(prototype, 'dispatchEvent')) return
  const dispatch = prototype.dispatchEvent
  const setRemote = prototype.setRemoteDescription
  const held = new WeakMap<HeldBack, Event[]>()
  Object.defineProperty(prototype, 'dispatchEvent', {
    value(this: HeldBack & RTCPeerConnection, event: Event): boolean {
      if (event.type !== 'icecandidate' || this.signalingState !== 'have-local-offer') return dispatch.call(this, event)
      held.set(this, [...(held.get(this) ?? []), event])
      return true
    },
  })
  Object.defineProperty(prototype, 'setRemoteDescription', {
    async value(this: HeldBack, description: RTCSessionDescriptionInit): Promise<void> {
      await setRemote.call(this, description)
      const events = held.get(this) ?? []
      held.delete(this)
      for (const event of events) dispatch.call(this, event)
    },
  })
}
