/**
 * STUN on UDP at the relay's own port number, so that tabs behind routers learn their public address and nobody else is asked.
 * It answers nothing but well-formed Binding requests, hardly more than it is sent, and not more than so many a second.
 */
import { createSocket, type Socket } from 'node:dgram'
import { isIPv6 } from 'node:net'
import { countedAddress, plainAddress } from '../addresses.ts'
import { bindingSuccess, readBindingRequest } from './message.ts'

const WINDOW_MS = 1_000
/** A tab asks a handful of times a connection; a school or a carrier shares one address. */
const MAX_A_SECOND_AND_ADDRESS = 100
/** Whoever forges addresses gets no further than this with us. */
const MAX_A_SECOND = 2_000

/** Browsers and routers ask from above it; a packet that says it is from below is a forged one, to hit a service there. */
const FIRST_USER_PORT = 1_024

export interface StunOptions {
  host: string
  port: number
  onAnswered: () => void
  /** `invalid`: no Binding request; `flood`: more than a second's share. */
  onDropped: (reason: 'invalid' | 'flood') => void
}

export class StunServer {
  readonly #options: StunOptions
  readonly #socket: Socket
  readonly #counts = new Map<string, number>()
  readonly #timer: ReturnType<typeof setInterval>
  #total = 0

  private constructor(options: StunOptions, socket: Socket) {
    this.#options = options
    this.#socket = socket
    socket.on('message', (bytes, from) => this.#answer(bytes, from.address, from.port))
    // A packet that could not be delivered is the asker's loss; it asks again.
    socket.on('error', () => undefined)
    this.#timer = setInterval(() => this.#newSecond(), WINDOW_MS)
    this.#timer.unref()
  }

  /** @throws the socket's error when the port cannot be had */
  static async start(options: StunOptions): Promise<StunServer> {
    const socket = createSocket({ type: isIPv6(options.host) ? 'udp6' : 'udp4' })
    await new Promise<void>((resolve, reject) => {
      socket.once('error', reject)
      socket.bind({ address: options.host, port: options.port }, () => {
        socket.off('error', reject)
        resolve()
      })
    })
    return new StunServer(options, socket)
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer)
    await new Promise<void>((resolve) => this.#socket.close(() => resolve()))
  }

  #answer(bytes: Buffer, address: string, port: number): void {
    const request = readBindingRequest(bytes)
    if (request === null || port < FIRST_USER_PORT) return this.#options.onDropped('invalid')
    const plain = plainAddress(address)
    if (!this.#mayAnswer(countedAddress(plain))) return this.#options.onDropped('flood')
    this.#socket.send(bindingSuccess(request, plain, port), port, address)
    this.#options.onAnswered()
  }

  /** `address`: null for loopback, which is limited in all only. */
  #mayAnswer(address: string | null): boolean {
    if (this.#total >= MAX_A_SECOND) return false
    if (address !== null) {
      const count = this.#counts.get(address) ?? 0
      if (count >= MAX_A_SECOND_AND_ADDRESS) return false
      this.#counts.set(address, count + 1)
    }
    this.#total += 1
    return true
  }

  #newSecond(): void {
    this.#counts.clear()
    this.#total = 0
  }
}

/**
 * What tabs are told: STUN at each public address of this relay, two at most, because a browser asks all of them for every
 * connection. None where the relay is for this machine only, whose tabs find each other without.
 */
export function stunUrls(addresses: readonly string[], port: number): string[] {
  const hosts = addresses.flatMap((address) => {
    const [, kind, host = ''] = address.split('/')
    if (host === '' || host === 'localhost' || countedAddress(host) === null) return []
    return [kind === 'ip6' ? `[${host}]` : host]
  })
  return [...new Set(hosts)].slice(0, 2).map((host) => `stun:${host}:${port}`)
}
