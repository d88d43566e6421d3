/**
 * The donate view's state: what is chosen, the donor's own state and log as signals. One donor at a time; choosing
 * something else before the start makes a new one and plans again. Nothing starts without `start()`.
 */
import { batch, signal, type ReadonlySignal, type Signal } from '@preact/signals'
import { SwarmError } from '../../../swarm/errors.ts'
import { pageError } from './page-error.ts'
import type { Donor, DonorLogLine, DonorState } from '../../donor/state.ts'
import type { DonorChoices, DonorPort, ModelChoice } from './ports.ts'

export interface Donating {
  readonly state: ReadonlySignal<DonorState>
  readonly log: ReadonlySignal<readonly DonorLogLine[]>
  readonly choices: Signal<Omit<DonorChoices, 'model'>>
  readonly defaults: DonorPort['defaults']
  /** Reads what would be done and shows it; safe to call again. */
  plan(model: ModelChoice): Promise<void>
  start(model: ModelChoice): Promise<void>
  stop(): Promise<void>
  /** Something the plan depended on has changed (a token was given): what was planned before does not count. */
  forgetPlan(): void
  /** What is kept here has changed: a plan that stands says how much is to be downloaded. */
  countAgain(): void
}

export function createDonating(port: DonorPort): Donating {
  const state = signal<DonorState>({ status: 'idle' })
  const log = signal<readonly DonorLogLine[]>([])
  const choices = signal<Omit<DonorChoices, 'model'>>({
    numBlocks: port.defaults.numBlocks ?? null,
    memoryGb: port.defaults.memoryGb ?? null,
    weights: port.defaults.weights ?? 'auto',
  })
  let donor: Donor | null = null
  let unsubscribe = () => {}
  let plannedFor: string | null = null
  /** A donor of an earlier round no longer shows. */
  let round = 0

  const renew = async (model: ModelChoice): Promise<Donor> => {
    const key = JSON.stringify([model.repo, model.revision, choices.peek()])
    const { status } = state.peek()
    const reusable = donor !== null && plannedFor === key && status !== 'stopped' && status !== 'failed'
    if (donor !== null && reusable) return donor
    unsubscribe()
    round += 1
    const mine = round
    // What its plan has opened (the adapter, for one) is given back first.
    await donor?.stop()
    const made = await port.create({ model, ...choices.peek() })
    if (mine !== round) throw new SwarmError('CANCELLED', 'something else was chosen meanwhile')
    const earlier = log.peek()
    unsubscribe = made.onChange(() =>
      batch(() => {
        state.value = made.state()
        log.value = [...earlier, ...made.log()]
      }),
    )
    donor = made
    plannedFor = key
    state.value = made.state()
    return made
  }
  /** What the donor itself does not turn into a state of its own. */
  const guarded = async (work: () => Promise<void>): Promise<void> => {
    try {
      await work()
    } catch (error) {
      const superseded = error instanceof SwarmError && error.code === 'CANCELLED'
      if (!superseded && state.peek().status !== 'failed') {
        state.value = { status: 'failed', error: pageError(error) }
      }
    }
  }
  const forgetPlan = (): void => {
    if (isRunning(state.peek())) return
    plannedFor = null
    round += 1
    state.value = { status: 'idle' }
    // The view plans anew for every new object of choices.
    choices.value = { ...choices.peek() }
  }
  return {
    state,
    log,
    choices,
    defaults: port.defaults,
    plan: (model) =>
      guarded(async () => {
        if (isRunning(state.peek())) return
        state.value = { status: 'planning' }
        await (await renew(model)).plan()
      }),
    start: (model) =>
      guarded(async () => {
        if (isRunning(state.peek())) return
        await (await renew(model)).start()
      }),
    stop: () => guarded(async () => await donor?.stop()),
    countAgain() {
      const { status } = state.peek()
      if (status === 'ready' || status === 'planning') forgetPlan()
    },
    forgetPlan,
  }
}

/** From the click on Start to the end of Stop. */
export function isRunning(state: DonorState): boolean {
  return state.status === 'loading' || state.status === 'serving' || state.status === 'stopping'
}
