/** What a donor keeps between visits, in the origin's IndexedDB: the seeds of its identities and what it measured. */
import { openDB, type DBSchema, type IDBPDatabase } from 'idb'
import { SwarmError } from '../../swarm/errors.ts'
import type { ChoiceStore } from '../engine/warm-up.ts'
import type { Identity, SpeedStore } from './environment.ts'

const NAME = 'tabswarm-donor'
const VERSION = 1
const SEED_BYTES = 32
/** A person's tab, which nobody numbered. */
const OWN_NUMBER = 0
/** A tab that is reloaded or closed lets go of its identity a moment after the next page began; a tab that stays does not. */
const LET_GO_MS = 1_500
const RETRY_MS = 100

interface DonorSchema extends DBSchema {
  seeds: { key: number; value: Uint8Array }
  /** Speeds, and choices of kernels; another store would be another version, which an open tab of the one before holds up. */
  speeds: { key: string; value: unknown }
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
    get: async (key) => {
      const kept = await (await this.#database).get('speeds', key)
      return typeof kept === 'number' ? kept : null
    },
    set: async (key, value) => {
      await (await this.#database).put('speeds', value, key)
    },
  }

  readonly choices: ChoiceStore = {
    get: async (key) => await (await this.#database).get('speeds', key),
    set: async (key, choice) => {
      await (await this.#database).put('speeds', choice, key)
    },
  }

  /**
   * The identity of that number, held until it is released or the page ends; null: a person's tab, one a browser.
   * @throws SwarmError IDENTITY_TAKEN
   */
  async claimIdentity(number: number | null): Promise<Identity> {
    const wanted = number ?? OWN_NUMBER
    const release = await holdLock(`tabswarm-identity-${wanted}`, LET_GO_MS)
    if (release !== null) return { seed: await this.#seed(wanted), release }
    throw new SwarmError(
      'IDENTITY_TAKEN',
      `Another tab of this browser donates${number === null ? '' : ` as number ${number}`} already, and two tabs cannot share one identity.`,
      {
        action: `Go to that tab, or close it and try again. To donate a second tab, open it with a number of its own (?donate&tab=${wanted + 1}).`,
      },
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

/**
 * Takes a Web Lock that is free or becomes so in time; the returned function gives it back, null: another holds it. Asked again
 * and again rather than queued for with a time limit: on a busy machine the grant may come later than any limit, and only the
 * lock's own answer says that somebody else has it.
 */
async function holdLock(name: string, patienceMs: number): Promise<(() => void) | null> {
  const startedAt = performance.now()
  for (;;) {
    const release = await tryLock(name)
    if (release !== null || performance.now() - startedAt > patienceMs) return release
    await new Promise((resolve) => setTimeout(resolve, RETRY_MS))
  }
}

function tryLock(name: string): Promise<(() => void) | null> {
  return new Promise((resolve, reject) => {
    navigator.locks
      .request(name, { ifAvailable: true }, async (lock) => {
        if (lock === null) resolve(null)
        else await new Promise<void>((release) => resolve(release))
      })
      .catch(reject)
  })
}
