/** Live bytes of a page and its Workers, arrays included, as the browser counts them after a collection. */
import type { CDPSession, Page } from 'playwright'

export interface HeapSample {
  page: number
  workers: number
}

interface WorkerTarget {
  sessionId: string
  pending: Map<number, (result: Record<string, number>) => void>
}

export class HeapWatch {
  readonly #session: CDPSession
  readonly #workers = new Map<string, WorkerTarget>()
  #next = 1

  private constructor(session: CDPSession) {
    this.#session = session
  }

  /** Sees the Workers that start from now on. */
  static async of(page: Page): Promise<HeapWatch> {
    const session = await page.context().newCDPSession(page)
    const watch = new HeapWatch(session)
    session.on('Target.attachedToTarget', ({ sessionId }) => {
      watch.#workers.set(sessionId, { sessionId, pending: new Map() })
    })
    session.on('Target.detachedFromTarget', ({ sessionId }) => watch.#workers.delete(sessionId))
    session.on('Target.receivedMessageFromTarget', ({ sessionId, message }) => {
      const { id, result } = JSON.parse(message) as { id?: number; result?: Record<string, number> }
      if (id !== undefined) watch.#workers.get(sessionId)?.pending.get(id)?.(result ?? {})
    })
    await session.send('Target.setAutoAttach', { autoAttach: true, waitForDebuggerOnStart: false, flatten: false })
    return watch
  }

  get workerCount(): number {
    return this.#workers.size
  }

  async sample(): Promise<HeapSample> {
    // Twice: arrays that a collection finds dead are freed beside it, and surely before the next one.
    for (const _ of [1, 2]) await this.#session.send('HeapProfiler.collectGarbage')
    const page = liveBytes((await this.#session.send('Runtime.getHeapUsage')) as unknown as Record<string, number>)
    let workers = 0
    for (const worker of this.#workers.values()) {
      for (const _ of [1, 2]) await this.#ask(worker, 'HeapProfiler.collectGarbage')
      workers += liveBytes(await this.#ask(worker, 'Runtime.getHeapUsage'))
    }
    return { page, workers }
  }

  async #ask({ sessionId, pending }: WorkerTarget, method: string): Promise<Record<string, number>> {
    const id = this.#next
    this.#next += 1
    const answer = new Promise<Record<string, number>>((resolve) => pending.set(id, resolve))
    const message = JSON.stringify({ id, method, params: {} })
    await this.#session.send('Target.sendMessageToTarget', { sessionId, message })
    return await answer.finally(() => pending.delete(id))
  }
}

/** `backingStorageSize`: of array buffers. Missing, they would not be counted at all, and every heap would look flat. */
function liveBytes({ usedSize, backingStorageSize }: Record<string, number>): number {
  if (usedSize === undefined || backingStorageSize === undefined) throw new Error('this browser does not tell its heap')
  return usedSize + backingStorageSize
}
