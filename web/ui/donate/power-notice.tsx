/** What a metered connection or a battery means for a start, said before it; and for a download under way. */
import type { DonorPlan, DonorState, LoadProgress } from '../../donor/state.ts'
import { useServices, useTexts } from '../services.ts'

export function PowerNotice({ state }: { state: DonorState }) {
  if (state.status === 'ready') return <BeforeStart plan={state.plan} />
  if (state.status === 'loading') return <WhileLoading progress={state.progress} />
  return null
}

function BeforeStart({ plan }: { plan: DonorPlan }) {
  const { power: state } = useServices()
  const { messages, formats } = useTexts()
  const { power } = messages
  const { onBattery, isMetered } = state.conditions.value
  const rules = state.rules.value
  const isOnBattery = onBattery === true && rules.onBattery
  const wouldPause = isOnBattery || (isMetered === true && rules.whenMetered)
  if (isMetered !== true && !isOnBattery) return null
  return (
    <p class="note" data-testid="power-notice">
      {isMetered === true && (
        <>
          {plan.downloadBytes > 0
            ? power.startMetered(formats.bytes(plan.downloadBytes))
            : power.startMeteredCached}{' '}
        </>
      )}
      {isOnBattery && <>{power.startOnBattery} </>}
      {wouldPause && power.startAllTheSame}
    </p>
  )
}

function WhileLoading({ progress }: { progress: LoadProgress }) {
  const { power: state } = useServices()
  const { messages, formats } = useTexts()
  const leftBytes = progress.totalBytes - progress.doneBytes
  if (state.conditions.value.isMetered !== true || progress.phase !== 'download' || leftBytes <= 0) return null
  return (
    <p class="note" data-testid="power-notice">
      {messages.power.loadingMetered(formats.bytes(leftBytes))}
    </p>
  )
}
