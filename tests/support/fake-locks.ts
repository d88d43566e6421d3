/** Web Locks in memory, as far as the page uses them: exclusive and shared, `ifAvailable`, `signal`, `query`. */
interface Held {
  name: string
  mode: LockMode
}

export class FakeLocks {
  readonly #held = new Set<Held>()
  #waiting: (() => void)[] = []

  async request<T>(
    name: string,
    options: LockOptions,
    callback: (lock: Lock | null) => T | PromiseLike<T>,
  ): Promise<T> {
    const mode = options.mode ?? 'exclusive'
    while (!this.#isFree(name, mode)) {
      if (options.ifAvailable === true) return await callback(null)
      await new Promise<void>((resolve, reject) => {
        this.#waiting.push(resolve)
        options.signal?.addEventListener('abort', () => reject(options.signal?.reason as Error), { once: true })
      })
    }
    const held: Held = { name, mode }
    this.#held.add(held)
    try {
      return await callback(held)
    } finally {
      this.#held.delete(held)
      for (const wake of this.#waiting.splice(0)) wake()
    }
  }

  query(): Promise<LockManagerSnapshot> {
    return Promise.resolve({
      held: [...this.#held].map(({ name, mode }) => ({ name, mode, clientId: 'test' })),
      pending: [],
    })
  }

  #isFree(name: string, mode: LockMode): boolean {
    const others = [...this.#held].filter((held) => held.name === name)
    return others.every((held) => held.mode === 'shared' && mode === 'shared')
  }
}

export function asLocks(locks: FakeLocks): Pick<LockManager, 'request' | 'query'> {
  return locks as unknown as LockManager
}
