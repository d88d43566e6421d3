/** The DevTools protocol over one WebSocket: commands with their answers, and events by session. */
import { WebSocket } from 'ws'

type Params = Record<string, unknown>

interface Message {
  id?: number
  method?: string
  sessionId?: string
  params?: Params
  result?: Params
  error?: { message: string }
}

export type DevtoolsListener = (method: string, params: Params) => void

export class Devtools {
  readonly #socket: WebSocket
  readonly #pending = new Map<number, { resolve: (result: Params) => void; reject: (error: Error) => void }>()
  readonly #listeners = new Map<string, DevtoolsListener>()
  #next = 1

  private constructor(socket: WebSocket) {
    this.#socket = socket
    socket.on('message', (data: Buffer) => this.#take(JSON.parse(data.toString()) as Message))
    socket.on('close', () => {
      for (const { reject } of this.#pending.values()) reject(new Error('the browser ended'))
      this.#pending.clear()
    })
  }

  static async connect(url: string): Promise<Devtools> {
    const socket = new WebSocket(url, { perMessageDeflate: false, maxPayload: 64 * 1024 * 1024 })
    await new Promise<void>((resolve, reject) => {
      socket.once('open', resolve)
      socket.once('error', reject)
    })
    return new Devtools(socket)
  }

  /** @throws Error what the browser answered, or that it ended */
  send(method: string, params: Params = {}, sessionId?: string): Promise<Params> {
    const id = this.#next
    this.#next += 1
    this.#socket.send(JSON.stringify({ id, method, params, ...(sessionId === undefined ? {} : { sessionId }) }))
    return new Promise((resolve, reject) => {
      this.#pending.set(id, { resolve, reject: (error) => reject(new Error(`${method}: ${error.message}`)) })
    })
  }

  /** Events of one session; one listener each. */
  onEvents(sessionId: string, listener: DevtoolsListener): void {
    this.#listeners.set(sessionId, listener)
  }

  close(): void {
    this.#socket.terminate()
  }

  #take({ id, method, sessionId, params, result, error }: Message): void {
    if (id === undefined) {
      if (method !== undefined) this.#listeners.get(sessionId ?? '')?.(method, params ?? {})
      return
    }
    const pending = this.#pending.get(id)
    this.#pending.delete(id)
    if (error === undefined) pending?.resolve(result ?? {})
    else pending?.reject(new Error(error.message))
  }
}
