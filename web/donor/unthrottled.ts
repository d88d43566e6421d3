/**
 * Keeps the timers of a hidden page at one a second. After a few minutes Chromium fires them once a minute, unless the page has
 * an open RTCDataChannel; its WebSocket to a relay does not count. A donor that nobody is connected to has none: a relay
 * that restarts would wait a minute for it. So the page holds a channel to itself.
 */

/** Without a network there are no candidates, and a sleep ends the channel: it is tried again. */
const RETRY_MS = 10_000

/** Until the returned function is called. */
export function stayUnthrottled(): () => void {
  let isOver = false
  let timer: ReturnType<typeof setTimeout> | undefined
  let close = (): void => undefined
  const again = (): void => {
    close()
    clearTimeout(timer)
    if (!isOver) timer = setTimeout(open, RETRY_MS)
  }
  function open(): void {
    close = openChannel(again)
  }
  open()
  return () => {
    isOver = true
    clearTimeout(timer)
    close()
  }
}

/** Two ends in one page. `onEnd` is called once, also when it never opened. */
function openChannel(onEnd: () => void): () => void {
  const here = new RTCPeerConnection()
  const there = new RTCPeerConnection()
  let isOpen = true
  const close = (): void => {
    isOpen = false
    here.close()
    there.close()
  }
  const end = (): void => {
    if (isOpen) onEnd()
  }
  pass(here, there)
  pass(there, here)
  here.createDataChannel('unthrottled').addEventListener('close', end)
  here.addEventListener('connectionstatechange', () => {
    if (here.connectionState === 'failed') end()
  })
  connect(here, there).catch(end)
  return close
}

function pass(from: RTCPeerConnection, to: RTCPeerConnection): void {
  from.addEventListener('icecandidate', ({ candidate }) => {
    // One that comes too late or does not fit is one way less.
    if (candidate !== null) to.addIceCandidate(candidate).catch(() => undefined)
  })
}

async function connect(here: RTCPeerConnection, there: RTCPeerConnection): Promise<void> {
  const offer = await here.createOffer()
  await Promise.all([here.setLocalDescription(offer), there.setRemoteDescription(offer)])
  const answer = await there.createAnswer()
  await Promise.all([there.setLocalDescription(answer), here.setRemoteDescription(answer)])
}
