/** What the browser says of this origin's storage: how much there is, how much is used, and whether it may be cleared. */

export interface StorageRoom {
  /** null: the browser does not tell. */
  usedBytes: number | null
  quotaBytes: number | null
  /** kept: cleared only by the person. may-go: cleared by the browser when space runs short. */
  fate: 'kept' | 'may-go' | 'unknown'
}

let isAsked = false

/**
 * Asks the browser to keep this origin's files, once a page: some browsers ask the person in turn. Resolves with whether
 * they are kept.
 */
export async function askToKeep(): Promise<boolean> {
  if (isAsked || typeof navigator.storage?.persist !== 'function') return false
  isAsked = true
  try {
    return (await navigator.storage.persisted()) || (await navigator.storage.persist())
  } catch {
    // What comes of it is read from `persisted` where it is shown.
    return false
  }
}

export async function storageRoom(): Promise<StorageRoom> {
  return { ...(await estimate()), fate: await fate() }
}

async function estimate(): Promise<Pick<StorageRoom, 'usedBytes' | 'quotaBytes'>> {
  try {
    const { usage, quota } = await navigator.storage.estimate()
    return { usedBytes: usage ?? null, quotaBytes: quota ?? null }
  } catch {
    return { usedBytes: null, quotaBytes: null }
  }
}

async function fate(): Promise<StorageRoom['fate']> {
  try {
    return (await navigator.storage.persisted()) ? 'kept' : 'may-go'
  } catch {
    return 'unknown'
  }
}
