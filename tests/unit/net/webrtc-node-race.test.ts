/** In Node: no candidate leaves before the answer is there, so that no handshake can begin before it. Real peer connections. */
import { RTCPeerConnection } from 'node-datachannel/polyfill'
import { cleanup } from 'node-datachannel'
import { afterAll, expect, test } from 'vitest'
import { holdCandidatesUntilAnswered } from '../../../net/webrtc-node-race.ts'

afterAll(() => cleanup())

test('the offering side keeps its candidates back until it has the answer, then sends all of them', async () => {
  holdCandidatesUntilAnswered()
  const [offering, answering] = [new RTCPeerConnection({ iceServers: [] }), new RTCPeerConnection({ iceServers: [] })]
  try {
    const candidates: string[] = []
    offering.addEventListener('icecandidate', (event) => {
      const { candidate } = event as RTCPeerConnectionIceEvent
      if (candidate !== null && candidate.candidate !== '') candidates.push(candidate.candidate)
    })
    offering.createDataChannel('init')
    const offer = await offering.createOffer()
    await offering.setLocalDescription(offer)
    // What the library itself has found, and would have sent by now.
    const { ext_localCandidates: found } = offering as unknown as { ext_localCandidates: unknown[] }
    await expect.poll(() => found.length, { timeout: 10_000 }).toBeGreaterThan(0)
    expect(candidates).toEqual([])
    await answering.setRemoteDescription(offer)
    const answer = await answering.createAnswer()
    await answering.setLocalDescription(answer)
    await offering.setRemoteDescription(answer)
    expect(candidates.length).toBeGreaterThan(0)
  } finally {
    offering.close()
    answering.close()
  }
})
