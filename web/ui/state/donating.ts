/**
 * The donate view's state: what is chosen, the donor's own state and log as signals. One donor at a time; choosing
 * something else before the start makes a new one and plans again. Nothing starts without `start()`.
 */
import { batch, signal, type ReadonlySignal, type Signal } from '@preact/signals'
import { SwarmError } from '../../../swarm/errors.ts'
import { pageError } from './page-error.ts'
import type { Donor, DonorLogLine, DonorPlan, DonorState } from '../../donor/state.ts'
import type { DonorChoices, DonorPort, ModelChoice } from './ports.ts'

/** What makes another plan; the budget only sizes one. */
export type PlannedChoices = Omit<DonorChoices, 'model' | 'memoryGb'>

export interface Donating {
  readonly state: ReadonlySignal<DonorState>
  readonly log: ReadonlySignal<readonly DonorLogLine[]>
  readonly choices: Signal<PlannedChoices>
  /** GB (1e9 bytes) that the person allows; null: as the device allows. */
  readonly memoryGb: ReadonlySignal<number | null>
  /** The newest plan that stood, for what outlives it on the page. */
  readonly lastPlan: ReadonlySignal<DonorPlan | null>
  readonly defaults: DonorPort['defaults']
  /** Reads what would be done and shows it; safe to call again. */
  plan(model: ModelChoice): Promise<void>
  /** Another budget: a plan that stands is sized anew, any other is made anew. */
  resize(model: ModelChoice, memoryGb: number | null): Promise<void>
  start(model: ModelChoice): Promise<void>
  /** These three as the donor's own (`web/donor/state.ts`). */
  pause(): void
  resume(): void
  finish(): void
  stop(): Promise<void>
  /** Something the plan depended on has changed (a token was given): what was planned before does not count. */
  forgetPlan(): void
  /** What is kept here has changed: a plan that stands says how much is to be downloaded. */
  countAgain(): void
}

export function createDonating(port: DonorPort): Donating {
  const state = signal<DonorState>({ status: 'idle' })
  const log = signal<readonly DonorLogLine[]>([])
  const memoryGb = signal(port.defaults.memoryGb ?? null)
  const lastPlan = signal<DonorPlan | null>(null)
  const choices = signal<PlannedChoices>({
    numBlocks: port.defaults.numBlocks ?? null,
    weights: port.defaults.weights ?? 'auto',
  })
  let donor: Donor | null = null
  let unsubscribe = () => {}
  let plannedFor: string | null = null
  /** A donor of an earlier round no longer shows. */
  let round = 0

  const show = (next: DonorState): void => {
    state.value = next
    if (next.status === 'ready') lastPlan.value = next.plan
  }
  const keyOf = (model: ModelChoice): string =>
    JSON.stringify([model.repo, model.revision, choices.peek(), memoryGb.peek()])
  const renew = async (model: ModelChoice): Promise<Donor> => {
    const key = keyOf(model)
    const { status } = state.peek()
    const reusable = donor !== null && plannedFor === key && status !== 'stopped' && status !== 'failed'
    if (donor !== null && reusable) return donor
    unsubscribe()
    round += 1
    const mine = round
    // What its plan has opened (the adapter, for one) is given back first.
    await donor?.stop()
    const made = await port.create({ model, ...choices.peek(), memoryGb: memoryGb.peek() })
    if (mine !== round) throw new SwarmError('CANCELLED', 'something else was chosen meanwhile')
    const earlier = log.peek()
    unsubscribe = made.onChange(() =>
      batch(() => {
        show(made.state())
        log.value = [...earlier, ...made.log()]
      }),
    )
    donor = made
    plannedFor = key
    show(made.state())
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
  const plan = (model: ModelChoice): Promise<void> =>
    guarded(async () => {
      if (isRunning(state.peek())) return
      state.value = { status: 'planning' }
      await (await renew(model)).plan()
    })
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
    memoryGb,
    lastPlan,
    defaults: port.defaults,
    plan,
    resize: (model, gb) =>
      guarded(async () => {
        if (isRunning(state.peek())) return
        const stands = donor !== null && plannedFor === keyOf(model) && state.peek().status === 'ready'
        memoryGb.value = gb
        if (!stands) return await plan(model)
        plannedFor = keyOf(model)
        await donor?.resize(gb === null ? null : Math.round(gb * 1e9))
      }),
    start: (model) =>
      guarded(async () => {
        if (isRunning(state.peek())) return
        await (await renew(model)).start()
      }),
    pause: () => donor?.pause(),
    resume: () => donor?.resume(),
    finish: () => donor?.finish(),
    stop: () => guarded(async () => await donor?.stop()),
    countAgain() {
      const { status } = state.peek()
      if (status === 'ready' || status === 'planning') forgetPlan()
    },
    forgetPlan,
  }
}

/** Whether the tab has work to do: what the screen may be kept on for. */
export function isWorking(state: DonorState): boolean {
  if (state.status === 'serving') return state.duty !== 'paused' && state.duty !== 'pausing'
  return state.status === 'loading'
}

/** From the click on Start to the end of Stop. */
export function isRunning(state: DonorState): boolean {
  return state.status === 'loading' || state.status === 'serving' || state.status === 'stopping'
}
