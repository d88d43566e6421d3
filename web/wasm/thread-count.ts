/** How many threads a tab without a GPU computes with. */

/** More share a memory's bandwidth without gaining from it. */
const MOST_THREADS = 8

export interface Machine {
  /** Whether the page may share memory with its Workers. */
  isIsolated: boolean
  /** Logical processors, as far as the browser tells. */
  cores: number
  /** Tabs that compute on this machine, this one included, as far as anybody knows. */
  tabs: number
  /** What was asked for. */
  wanted: number | null
}

export function threadCount({ isIsolated, cores, tabs, wanted }: Machine): number {
  if (!isIsolated) return 1
  return Math.max(1, Math.min(MOST_THREADS, Math.floor(cores), wanted ?? Math.floor(cores / Math.max(1, tabs))))
}

type Locks = Pick<LockManager, 'request' | 'query'>

const LOCK_PREFIX = 'tabswarm-computes-'

/** Says to the other tabs of this browser that this one computes, until its Worker ends. */
export function joinComputingTabs(locks: Locks): Promise<void> {
  return new Promise<void>((resolve, reject) => {
    const held = locks.request(`${LOCK_PREFIX}${crypto.randomUUID()}`, {}, () => {
      resolve()
      return new Promise<never>(() => undefined)
    })
    held.catch(reject)
  })
}

/** Of this browser, as many as have joined. */
export async function countComputingTabs(locks: Locks): Promise<number> {
  const { held = [] } = await locks.query()
  return held.filter(({ name }) => name?.startsWith(LOCK_PREFIX)).length
}
