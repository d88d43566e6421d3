/**
 * A tab that its browser discards for the memory is loaded anew when somebody looks at it. One that donated goes on as
 * before: the person had started it and not stopped it. What is remembered for this lives no longer than the tab.
 */
import { effect, signal, type ReadonlySignal } from '@preact/signals'
import type { DonorState } from '../../donor/state.ts'
import type { Donating, PlannedChoices } from './donating.ts'
import { modelKey, type Models } from './models.ts'

const KEY = 'tabswarm.donates'

export interface AfterDiscard {
  /** Whether this page goes on with what the tab did before it was discarded; the person is told. */
  readonly goesOn: ReadonlySignal<boolean>
}

interface Remembered {
  model: string
  choices: PlannedChoices
  memoryGb: number | null
}

export function createAfterDiscard(options: {
  wasDiscarded: boolean
  /** The tab's own; throws where the browser blocks it. */
  storage: () => Pick<Storage, 'getItem' | 'setItem' | 'removeItem'>
  donating: Donating
  models: Models
}): AfterDiscard {
  const { donating, models, wasDiscarded } = options
  const goesOn = signal(false)
  const remembered = wasDiscarded ? recall(options.storage) : null
  if (remembered !== null) {
    goesOn.value = true
    goOn(donating, models, remembered)
  }
  effect(() => {
    const state = donating.state.value
    const chosen = models.chosen.value
    // Until it has gone on, or cannot, it is still the tab that donated.
    if (state.status === 'idle' || state.status === 'planning' || state.status === 'ready') return
    const isWanted = chosen !== null && wantsToDonate(state)
    const { choices, memoryGb } = donating
    remember(
      options.storage,
      isWanted ? { model: modelKey(chosen), choices: choices.peek(), memoryGb: memoryGb.peek() } : null,
    )
  })
  return { goesOn }
}

/** Whether the owner would want it to go on: not one that was stopped, is finishing, or was paused by hand. */
function wantsToDonate(state: DonorState): boolean {
  if (state.status === 'serving') return state.duty !== 'finishing' && state.pausedBy !== 'owner'
  return state.status === 'loading'
}

function goOn(donating: Donating, models: Models, { model, choices, memoryGb }: Remembered): void {
  models.name(model)
  const chosen = models.chosen.peek()
  if (chosen === null) return
  donating.choices.value = choices
  void donating.resize(chosen, memoryGb)
  // The view may plan as well; whoever's plan stands first, a start follows once.
  let hasStarted = false
  const stop = effect(() => {
    const { status } = donating.state.value
    if (status !== 'ready' || hasStarted) return
    hasStarted = true
    queueMicrotask(() => {
      stop()
      void donating.start(chosen)
    })
  })
}

function recall(storage: Parameters<typeof createAfterDiscard>[0]['storage']): Remembered | null {
  try {
    return JSON.parse(storage().getItem(KEY) ?? 'null') as Remembered | null
  } catch {
    // A browser that keeps nothing for a tab: the person starts it again.
    return null
  }
}

function remember(storage: Parameters<typeof createAfterDiscard>[0]['storage'], what: Remembered | null): void {
  try {
    if (what === null) storage().removeItem(KEY)
    else storage().setItem(KEY, JSON.stringify(what))
  } catch {
    // As above.
  }
}
