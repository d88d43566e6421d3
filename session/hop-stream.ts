/**
 * One hop of a route as the requesting peer sees it: its frame stream, read in the background, and its pulse. A hop is lost
 * when its stream ends or fails, when it says so itself (`failure`), or when it answers no ping for HEARTBEAT_DEAD_MS. A
 * slow step is not a loss: software adapters take seconds, and a hop that answers pings is alive.
 */
import type { FrameStream } from '../net/types.ts'
import { emptyFrame, type Frame } from '../swarm/codec.ts'
import { SwarmError, describeError, type ErrorCode } from '../swarm/errors.ts'
import { readFailure } from '../swarm/failure.ts'
import { HEARTBEAT_DEAD_MS, HEARTBEAT_INTERVAL_MS } from '../swarm/limits.ts'
import type { RouteHop } from '../swarm/planner/types.ts'

export interface HopEvents {
  /** A frame of this session that is not a pong, a failure or a close. @throws SwarmError when the hop broke the protocol */
  onFrame(frame: Frame): void
  /** Called once. `error.peerId` is the peer at fault. */
  onLost(error: SwarmError): void
  /** Whether an answer is awaited on the route: only then is the pulse taken. An idle session costs its hops nothing. */
  isWaiting(): boolean
}

/** How often the pulse is looked at: a loss is noticed at most this long after HEARTBEAT_DEAD_MS. */
const PULSE_CHECK_MS = 250
/** Hidden pages look once a second, or a little later. A check that comes later than this was held up on our own side. */
const STALLED_SELF_MS = 1_750
/** So often in a row our own standing still speaks for a hop; a page that is throttled to a look a minute stands still always. */
const MAX_EXCUSES = 3
/** How long goodbyes may take before the stream is simply cut. */
const CLOSE_TIMEOUT_MS = 500

export class HopStream {
  readonly hop: RouteHop
  readonly #stream: FrameStream
  readonly #session: string
  readonly #epoch: number
  readonly #events: HopEvents
  readonly #now: () => number
  #lastHeardMs: number
  #lastPingMs = -Infinity
  #lastCheckMs: number
  #pings = 0
  /** Since the hop's last frame. */
  #excuses = 0
  /** Found silent for too long by a check that came late: the next one decides, when what lay unread has been read. */
  #isDoubtful = false
  #timer: ReturnType<typeof setTimeout> | undefined
  #ended = false

  /** Starts to read at once; the pulse starts with `startPulse`, when the hop has opened: it answers no ping before. */
  constructor(
    stream: FrameStream,
    hop: RouteHop,
    id: { session: string; epoch: number },
    now: () => number,
    events: HopEvents,
  ) {
    this.#stream = stream
    this.hop = hop
    this.#session = id.session
    this.#epoch = id.epoch
    this.#events = events
    this.#now = now
    this.#lastHeardMs = now()
    this.#lastCheckMs = now()
    void this.#read()
  }

  get direct(): boolean {
    return this.#stream.direct
  }

  /** Since the hop's last frame. */
  get silenceMs(): number {
    return this.#now() - this.#lastHeardMs
  }

  /** A failure to send is a loss, told through `onLost`; what waits for an answer rejects there. */
  send(frame: Frame): void {
    this.#stream.send(frame).catch((error: unknown) => this.#lose(asLoss(error, this.hop.peerId)))
  }

  startPulse(): void {
    if (this.#ended || this.#timer !== undefined) return
    this.#lastHeardMs = this.#now()
    this.#lastCheckMs = this.#lastHeardMs
    this.#scheduleCheck()
  }

  /** For `SwarmNode.onPeerLost` and for faults found in its frames. */
  fail(error: SwarmError): void {
    this.#lose(error)
  }

  /** Says goodbye and ends the stream, within half a second; never rejects. */
  async close(): Promise<void> {
    if (this.#ended) return
    this.#end()
    let timer: ReturnType<typeof setTimeout> | undefined
    const deadline = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, CLOSE_TIMEOUT_MS)
    })
    const goodbye = async (): Promise<void> => {
      await this.#stream.send(emptyFrame('close', this.#session, this.#epoch))
      await this.#stream.close()
    }
    // A peer that cannot be told any more has freed the session by itself: nothing is left to do about it.
    await Promise.race([goodbye().catch(() => null), deadline])
    clearTimeout(timer)
    this.#stream.abort(new SwarmError('CANCELLED', 'the session is over'))
  }

  #end(): void {
    this.#ended = true
    clearTimeout(this.#timer)
    this.#timer = undefined
  }

  #lose(error: SwarmError): void {
    if (this.#ended) return
    this.#end()
    this.#stream.abort(error)
    this.#events.onLost(error)
  }

  async #read(): Promise<void> {
    try {
      for (;;) {
        const frame = await this.#stream.receive()
        if (this.#ended) return
        if (frame === null) throw new SwarmError('PEER_LOST', 'it closed the stream', { peerId: this.hop.peerId })
        this.#lastHeardMs = this.#now()
        this.#excuses = 0
        this.#take(frame)
      }
    } catch (error) {
      this.#lose(asLoss(error, this.hop.peerId))
    }
  }

  #take(frame: Frame): void {
    if (frame.session !== this.#session) {
      throw new SwarmError('BAD_FRAME', `a ${frame.type} frame of another session`, { peerId: this.hop.peerId })
    }
    if (frame.epoch !== this.#epoch) return // late, from before a re-route
    switch (frame.type) {
      case 'pong':
        return
      case 'ping':
        this.send({ ...emptyFrame('pong', this.#session, this.#epoch), step: frame.step })
        return
      case 'failure':
        throw readFailure(frame, this.hop.peerId)
      case 'close':
        throw new SwarmError('NO_SESSION', 'it ended the session', { peerId: this.hop.peerId, retryable: true })
      case 'opened':
      case 'truncated':
      case 'done':
      case 'logits':
      case 'step':
        this.#events.onFrame(frame)
        return
      case 'open':
      case 'attach':
      case 'attached':
      case 'moreLogits':
      case 'truncate':
      case 'resend':
        throw new SwarmError('BAD_FRAME', `a ${frame.type} frame is not for a requesting peer`, {
          peerId: this.hop.peerId,
        })
    }
  }

  #scheduleCheck(): void {
    this.#timer = setTimeout(() => this.#checkPulse(), PULSE_CHECK_MS)
  }

  #checkPulse(): void {
    const now = this.#now()
    if (!this.#events.isWaiting()) this.#lastHeardMs = now
    const checkMs = now - this.#lastCheckMs
    this.#lastCheckMs = now
    if (checkMs > STALLED_SELF_MS && this.#excuses < MAX_EXCUSES) {
      // Our own thread stood still: what the hop said meanwhile may not have been read yet.
      this.#excuses += 1
      this.#lastHeardMs = Math.max(this.#lastHeardMs, now - HEARTBEAT_INTERVAL_MS)
      this.#lastPingMs = -Infinity
    }
    const silenceMs = now - this.#lastHeardMs
    const isSilent = silenceMs >= HEARTBEAT_DEAD_MS
    const isDead = isSilent && (this.#isDoubtful || checkMs < 2 * PULSE_CHECK_MS)
    this.#isDoubtful = isSilent
    if (isDead) {
      this.#lose(
        new SwarmError('PEER_TIMEOUT', `it answered nothing for ${Math.round(silenceMs)} ms`, {
          peerId: this.hop.peerId,
          retryable: true,
        }),
      )
      return
    }
    if (silenceMs >= HEARTBEAT_INTERVAL_MS && now - this.#lastPingMs >= HEARTBEAT_INTERVAL_MS) {
      this.#lastPingMs = now
      this.#pings += 1
      this.send({ ...emptyFrame('ping', this.#session, this.#epoch), step: this.#pings })
    }
    this.#scheduleCheck()
  }
}

/** Whatever a stream throws, as a loss with the peer's id. */
export function asLoss(error: unknown, peerId: string): SwarmError {
  if (error instanceof SwarmError && error.peerId !== undefined) return error
  const code: ErrorCode = error instanceof SwarmError ? error.code : 'PEER_LOST'
  return new SwarmError(code, describeError(error), { peerId, retryable: true, cause: error })
}
