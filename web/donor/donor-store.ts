/** What a donor keeps between visits, in the origin's IndexedDB: the seeds of its identities and the speeds it measured. */
import { openDB, type DBSchema, type IDBPDatabase } from 'idb'
import { SwarmError } from '../../swarm/errors.ts'
import type { Identity, SpeedStore } from './environment.ts'

const NAME = 'tabswarm-donor'
const VERSION = 1
const SEED_BYTES = 32
/** Tabs of one browser that nobody numbered: each takes the first identity that is free. */
const MAX_IDENTITIES = 64

interface DonorSchema extends DBSchema {
  seeds: { key: number; value: Uint8Array }
  speeds: { key: string; value: number }
}

export class DonorStore {
  readonly #database: Promise<IDBPDatabase<DonorSchema>>

  constructor() {
    this.#database = openDB<DonorSchema>(NAME, VERSION, {
      upgrade: (database) => {
        database.createObjectStore('seeds')
        database.createObjectStore('speeds')
      },
    })
    // Whoever asks first is told; until then a refusal of the browser is nobody's unhandled error.
    this.#database.catch(() => undefined)
  }

  readonly speeds: SpeedStore = {
    get: async (key) => (await (await this.#database).get('speeds', key)) ?? null,
    set: async (key, value) => {
      await (await this.#database).put('speeds', value, key)
    },
  }

  /**
   * The identity of that number, held until it is released or the page ends; null takes the first free one.
   * @throws SwarmError IDENTITY_TAKEN
   */
  async claimIdentity(number: number | null): Promise<Identity> {
    const numbers = number === null ? Array.from({ length: MAX_IDENTITIES }, (_, i) => i) : [number]
    for (const candidate of numbers) {
      const release = await holdLock(`tabswarm-identity-${candidate}`)
      if (release === null) continue
      return { seed: await this.#seed(candidate), release }
    }
    throw new SwarmError(
      'IDENTITY_TAKEN',
      `Another tab of this browser donates as number ${number ?? MAX_IDENTITIES - 1} already, and two tabs cannot share one identity.`,
      { action: 'Close the other tab, or open this one with another number (?donate&tab=1).' },
    )
  }

  async #seed(number: number): Promise<Uint8Array> {
    const fresh = crypto.getRandomValues(new Uint8Array(SEED_BYTES))
    try {
      const database = await this.#database
      const kept = await database.get('seeds', number)
      if (kept?.length === SEED_BYTES) return kept
      await database.put('seeds', fresh, number)
    } catch {
      // A browser that keeps nothing (some private windows): it donates as a new peer at each visit.
    }
    return fresh
  }
}

/** Takes a Web Lock if it is free; the returned function gives it back. */
function holdLock(name: string): Promise<(() => void) | null> {
  return new Promise((resolve, reject) => {
    navigator.locks
      .request(name, { ifAvailable: true }, async (lock) => {
        if (lock === null) {
          resolve(null)
          return
        }
        await new Promise<void>((release) => resolve(release))
      })
      .catch(reject)
  })
}
