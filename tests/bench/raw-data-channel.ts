/**
 * Round trips over a bare RTCDataChannel between two pages of one browser: what the network part of a hop costs at least on
 * this machine. Signalling is carried by the test itself.
 */
import type { Browser, Page } from 'playwright'

/** Sorted round-trip times in ms for messages of `sizeBytes`. `origin` must be a secure context without a strict CSP on WebRTC. */
export async function measureRawRoundTrips(
  browser: Browser,
  origin: string,
  sizeBytes: number,
  count: number,
): Promise<number[]> {
  const context = await browser.newContext()
  const [a, b] = [await context.newPage(), await context.newPage()]
  try {
    await Promise.all([a.goto(origin), b.goto(origin)])
    const offer = await a.evaluate(makeOffer)
    const answer = await b.evaluate(makeAnswer, offer)
    await a.evaluate(takeAnswer, answer)
    return await measure(a, sizeBytes, count)
  } finally {
    await context.close()
  }
}

interface Ends {
  peer: RTCPeerConnection
  channel: RTCDataChannel
}
type Scope = typeof globalThis & { rawEnds?: Ends }

/** All candidates are gathered first, so that one message each way is enough. */
async function makeOffer(): Promise<RTCSessionDescriptionInit> {
  const peer = new RTCPeerConnection()
  const channel = peer.createDataChannel('raw')
  channel.binaryType = 'arraybuffer'
  ;(globalThis as Scope).rawEnds = { peer, channel }
  await peer.setLocalDescription(await peer.createOffer())
  await new Promise<void>((resolve) => {
    if (peer.iceGatheringState === 'complete') resolve()
    else peer.addEventListener('icegatheringstatechange', () => peer.iceGatheringState === 'complete' && resolve())
  })
  return (peer.localDescription as RTCSessionDescription).toJSON() as RTCSessionDescriptionInit
}

async function makeAnswer(offer: RTCSessionDescriptionInit): Promise<RTCSessionDescriptionInit> {
  const peer = new RTCPeerConnection()
  peer.addEventListener('datachannel', ({ channel }) => {
    channel.binaryType = 'arraybuffer'
    ;(globalThis as Scope).rawEnds = { peer, channel }
    channel.addEventListener('message', (event) => channel.send(event.data as ArrayBuffer))
  })
  await peer.setRemoteDescription(offer)
  await peer.setLocalDescription(await peer.createAnswer())
  await new Promise<void>((resolve) => {
    if (peer.iceGatheringState === 'complete') resolve()
    else peer.addEventListener('icegatheringstatechange', () => peer.iceGatheringState === 'complete' && resolve())
  })
  return (peer.localDescription as RTCSessionDescription).toJSON() as RTCSessionDescriptionInit
}

async function takeAnswer(answer: RTCSessionDescriptionInit): Promise<void> {
  const { peer, channel } = (globalThis as Scope).rawEnds as Ends
  await peer.setRemoteDescription(answer)
  await new Promise<void>((resolve) => {
    if (channel.readyState === 'open') resolve()
    else channel.addEventListener('open', () => resolve())
  })
}

async function measure(page: Page, sizeBytes: number, count: number): Promise<number[]> {
  return page.evaluate(
    async ({ size, rounds }) => {
      const { channel } = (globalThis as Scope).rawEnds as Ends
      const message = new Uint8Array(size)
      const times: number[] = []
      for (let i = 0; i < rounds; i += 1) {
        const begin = performance.now()
        await new Promise<void>((resolve) => {
          channel.addEventListener('message', () => resolve(), { once: true })
          channel.send(message)
        })
        times.push(performance.now() - begin)
      }
      return times.toSorted((x, y) => x - y)
    },
    { size: sizeBytes, rounds: count },
  )
}
