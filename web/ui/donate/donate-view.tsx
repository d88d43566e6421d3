/** Donating: what would happen, one click to start, how it goes, Stop. A link alone never starts anything. */
import { useEffect } from 'preact/hooks'
import { needsWebGpu } from '../../../swarm/backend.ts'
import type { DonorState } from '../../donor/state.ts'
import { ErrorNote } from '../parts/error-note.tsx'
import { useServices, useTexts } from '../services.ts'
import type { Messages } from '../i18n/en.ts'
import type { Texts } from '../i18n/texts.ts'
import { isRunning } from '../state/donating.ts'
import { spanText } from './span-text.ts'
import { CacheList } from './cache-list.tsx'
import { DonorOptions } from './donor-options.tsx'
import { DutyControls } from './duty-controls.tsx'
import { LoadSteps } from './load-steps.tsx'
import { LogPanel } from './log-panel.tsx'
import { PlanCard, Terms } from './plan-card.tsx'
import { PowerNotice } from './power-notice.tsx'
import { PowerOptions } from './power-options.tsx'
import { ServingFigures } from './serving-figures.tsx'
import { WebGpuHelp } from './webgpu-help.tsx'

const NEEDS_HELP = new Set(['NO_WEBGPU', 'NO_ADAPTER'])

export function DonateView() {
  const { donating, afterDiscard, models, environment } = useServices()
  const texts = useTexts()
  const { donate } = texts.messages
  const state = donating.state.value
  const chosen = models.chosen.value
  const choices = donating.choices.value
  // Only where a link or a command insists on WebGPU is a browser without it of no use.
  const canCompute = environment.hasWebGpu || !needsWebGpu(donating.defaults.backend)
  useEffect(() => {
    if (canCompute && chosen !== null && !isRunning(donating.state.peek())) void donating.plan(chosen)
  }, [donating, canCompute, chosen?.repo, chosen?.revision, choices])
  const needsHelp = !canCompute || (state.status === 'failed' && NEEDS_HELP.has(state.error.code))
  return (
    <section class="page" aria-labelledby="donate-title">
      <header class="page-head">
        <h1 id="donate-title">{donate.title}</h1>
        <p class="lead">{donate.lead}</p>
      </header>
      {afterDiscard.goesOn.value && (
        <p class="note" role="status" data-testid="donate-after-discard">
          {donate.afterDiscard}
        </p>
      )}
      {needsHelp ? <WebGpuHelp /> : !isRunning(state) && <DonorOptions />}
      <div class="donor" data-status={state.status} hidden={needsHelp && state.status === 'idle'}>
        <p class={`donor-state donor-state-${state.status}`} data-testid="donate-state" role="status">
          {stateText(state, texts)}
        </p>
        {state.status === 'failed' && (
          <ErrorNote error={state.error} takesToken>
            {state.error.code === 'GPU_LOST' && <ReloadOffer />}
          </ErrorNote>
        )}
        <DonorBody state={state} />
        <PowerNotice state={state} />
        {!needsHelp && state.status !== 'serving' && <DonorButtons state={state} />}
      </div>
      {!needsHelp && <PowerOptions />}
      <CacheList />
      <LogPanel />
    </section>
  )
}

/** A GPU that was lost twice comes back with a page that is loaded anew, where it comes back at all. */
function ReloadOffer() {
  const { update } = useServices()
  const { app } = useTexts().messages
  return (
    <p class="row">
      <button type="button" class="button" data-testid="donate-reload" onClick={() => update.reload()}>
        {app.reload}
      </button>
    </p>
  )
}

function DonorBody({ state }: { state: DonorState }) {
  switch (state.status) {
    case 'ready':
      return (
        <>
          <PlanCard plan={state.plan} />
          <Terms />
        </>
      )
    case 'loading':
      return (
        <>
          <LoadSteps progress={state.progress} />
          <PlanCard plan={{ ...state.plan, span: state.span }} isSettled />
        </>
      )
    case 'serving':
      return (
        <>
          <DutyControls state={state} />
          {state.moving !== null && <LoadSteps progress={state.moving.progress} />}
          <ServingFigures state={state} />
        </>
      )
    case 'idle':
    case 'planning':
    case 'stopping':
    case 'stopped':
    case 'failed':
      return null
    default:
      return state satisfies never
  }
}

function DonorButtons({ state }: { state: DonorState }) {
  const { donating, models } = useServices()
  const { donate } = useTexts().messages
  const chosen = models.chosen.value
  if (isRunning(state)) {
    return (
      <button
        type="button"
        class="button button-stop button-large"
        data-testid="donate-stop"
        disabled={state.status === 'stopping'}
        onClick={() => void donating.stop()}
      >
        {donate.stop}
      </button>
    )
  }
  const label = state.status === 'stopped' ? donate.again : state.status === 'failed' ? donate.tryAgain : donate.start
  return (
    <button
      type="button"
      class="button button-large"
      data-testid="donate-start"
      disabled={chosen === null || state.status === 'planning' || state.status === 'idle'}
      onClick={() => {
        if (chosen === null) return
        // After a failure the plan comes first again, so that what is agreed to stands on the page.
        if (state.status === 'ready') void donating.start(chosen)
        else void donating.plan(chosen)
      }}
    >
      {label}
    </button>
  )
}

function stateText(state: DonorState, { messages }: Texts): string {
  const { donate } = messages
  switch (state.status) {
    case 'idle':
      return donate.idle
    case 'planning':
      return donate.planning
    case 'ready':
      return donate.planTitle
    case 'loading':
      return donate.loading(spanText(state.span))
    case 'serving':
      return servingText(state, messages)
    case 'stopping':
      return donate.stopping
    case 'stopped':
      return donate.stopped
    case 'failed':
      return donate.failed
    default:
      return state satisfies never
  }
}

function servingText(state: Extract<DonorState, { status: 'serving' }>, { donate, duty }: Messages): string {
  switch (state.duty) {
    case 'serving':
      return state.moving === null ? donate.serving(spanText(state.span)) : donate.moving(spanText(state.moving.span))
    case 'loading':
      return donate.loading(spanText(state.span))
    case 'pausing':
      return duty.pausing
    case 'paused':
      return duty.paused[state.pausedBy ?? 'owner']
    case 'finishing':
      return duty.finishing
    default:
      return state.duty satisfies never
  }
}
