/**
 * Counts what circuits carry, by libp2p's own hook for it: the library shows neither its relayed streams nor their bytes. Ends
 * those that carry sessions when the day's bytes are spent: new ones are limited to signalling by then, and an older one may
 * last a day. Everything else that the hook offers is left unused.
 */
import type { CounterGroup, HistogramGroup, Metrics, Stream } from '@libp2p/interface'
import { RELAY_V2_HOP_CODEC, RELAY_V2_STOP_CODEC } from '@libp2p/circuit-relay-v2'

/** Signalling and sensors stay far below it: a circuit that has carried more carries a session. */
const SESSION_BYTES = 1024 * 1024

export class CircuitBytes {
  readonly #onBytes: (bytes: number) => void
  readonly #mayCarry: () => boolean
  /** Open streams to the peers that were dialled, with what was carried to them. */
  readonly #carried = new Map<Stream, number>()

  /** `mayCarry`: false when only signalling may pass. */
  constructor(onBytes: (bytes: number) => void, mayCarry: () => boolean) {
    this.#onBytes = onBytes
    this.#mayCarry = mayCarry
  }

  /** Circuits open now that have carried more than signalling. */
  get carrying(): number {
    return [...this.#carried.values()].filter((bytes) => bytes > SESSION_BYTES).length
  }

  /** For `createLibp2p`. */
  readonly metrics: Metrics = {
    ...unused(),
    trackMultiaddrConnection: () => undefined,
    trackProtocolStream: (stream) => this.#track(stream),
  }

  /** Of a circuit's two streams each sends what the other takes in, so what both send is all that is carried, once. */
  #track(stream: Stream): void {
    const isTarget = stream.protocol === RELAY_V2_STOP_CODEC
    if (!isTarget && stream.protocol !== RELAY_V2_HOP_CODEC) return
    const send = stream.send.bind(stream)
    let carried = 0
    stream.send = (data) => {
      carried += data.byteLength
      if (carried > SESSION_BYTES && !this.#mayCarry()) {
        stream.abort(new Error('the bytes of the day are spent'))
        return false
      }
      this.#onBytes(data.byteLength)
      if (isTarget) this.#carried.set(stream, carried)
      return send(data)
    }
    if (isTarget) stream.addEventListener('close', () => this.#carried.delete(stream))
  }
}

function unused(): Omit<Metrics, 'trackMultiaddrConnection' | 'trackProtocolStream'> {
  const group: CounterGroup & HistogramGroup & { update: () => void; decrement: () => void } = {
    increment: () => undefined,
    decrement: () => undefined,
    update: () => undefined,
    observe: () => undefined,
    reset: () => undefined,
    timer: () => () => undefined,
  }
  const register = (): typeof group => group
  return {
    registerMetric: register,
    registerMetricGroup: register,
    registerCounter: register,
    registerCounterGroup: register,
    registerHistogram: register,
    registerHistogramGroup: register,
    registerSummary: register,
    registerSummaryGroup: register,
    traceFunction: (_name: string, run: (...args: unknown[]) => unknown) => run,
    createTrace: () => undefined,
  } as unknown as Omit<Metrics, 'trackMultiaddrConnection' | 'trackProtocolStream'>
}
