/** How other tabs come to this one: what the probe has found so far, and its result. */
import { signal, type ReadonlySignal } from '@preact/signals'
import { reachOf, type Reach, type ReachFindings } from '../../../swarm/reach.ts'
import type { PlainError } from '../../../swarm/errors.ts'
import { pageError } from './page-error.ts'
import type { ReachPort } from './ports.ts'

export type ReachState =
  | { status: 'idle' }
  | { status: 'probing'; found: Partial<ReachFindings> }
  | { status: 'done'; found: ReachFindings; reach: Reach; at: number }
  | { status: 'failed'; error: PlainError }

export interface ReachProbe {
  readonly state: ReadonlySignal<ReachState>
  /** Whether a person looks at this tab: then it is tried once by itself. */
  readonly isAutomatic: boolean
  /** One at a time; a second call does nothing. */
  probe(): Promise<void>
  /** Nothing is served any more: what was found says nothing. */
  forget(): void
}

export function createReachProbe(port: ReachPort, options: { isAutomatic: boolean; now: () => number }): ReachProbe {
  const state = signal<ReachState>({ status: 'idle' })
  let aborter: AbortController | null = null
  return {
    state,
    isAutomatic: options.isAutomatic,
    async probe() {
      if (aborter !== null) return
      const mine = new AbortController()
      aborter = mine
      const show = (next: ReachState): void => {
        if (aborter === mine) state.value = next
      }
      show({ status: 'probing', found: {} })
      try {
        const found = await port.probe((partly) => show({ status: 'probing', found: partly }), mine.signal)
        show({ status: 'done', found, reach: reachOf(found), at: options.now() })
      } catch (error) {
        show({ status: 'failed', error: pageError(error) })
      } finally {
        if (aborter === mine) aborter = null
      }
    },
    forget() {
      aborter?.abort(new Error('nothing is served here any more'))
      aborter = null
      state.value = { status: 'idle' }
    },
  }
}
