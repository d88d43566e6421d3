/** What donating would do, in figures, before anything is done; and what one agrees to. */
import { spanLength } from '../../../swarm/span.ts'
import type { DonorPlan } from '../../donor/state.ts'
import { useServices, useTexts } from '../services.ts'
import { spanText } from './span-text.ts'

/** `isSettled`: the blocks were chosen for good, no longer a forecast. */
export function PlanCard({ plan, isSettled = false }: { plan: DonorPlan; isSettled?: boolean }) {
  const { swarm } = useServices()
  const { messages, formats } = useTexts()
  const { donate } = messages
  const relays = swarm.snapshot.value.relays
  return (
    <div class="plan">
      <SpanBar plan={plan} />
      <dl class="facts">
        <dt>{donate.planModel}</dt>
        <dd>
          {plan.repo}
          <span class="fine"> {plan.revision.slice(0, 10)}</span>
        </dd>
        <dt>{donate.planBlocks}</dt>
        <dd>
          {donate.planBlocksValue(spanLength(plan.span), spanText(plan.span), plan.blocks)}
          {plan.mode === 'fixed' && <span class="fine"> {donate.planFixed}</span>}
          {plan.mode !== 'fixed' && !isSettled && <span class="fine"> {donate.planChosenAgain}</span>}
        </dd>
        <dt>{donate.planDownload}</dt>
        <dd data-testid="plan-download">
          {donate.planDownloadValue(
            formats.bytes(plan.downloadBytes),
            plan.cachedBytes > 0 ? formats.bytes(plan.cachedBytes) : null,
          )}
        </dd>
        <dt>{plan.backend === 'wasm' ? donate.planMemory : donate.planGpu}</dt>
        <dd>{donate.planGpuValue(formats.bytes(plan.gpuBytes), plan.weights)}</dd>
        <dt>{donate.planAdapter}</dt>
        <dd data-testid="plan-adapter">
          {plan.adapter}
          <span class="fine"> {donate.planWhy[plan.backendReason]}</span>
        </dd>
        {relays.length > 0 && (
          <>
            <dt>{donate.share}</dt>
            <dd class="addresses">
              {relays.map((relay) => (
                <span key={relay.address}>{relay.address}</span>
              ))}
            </dd>
          </>
        )}
      </dl>
      {plan.backend === 'software' && <p class="note note-warn">{donate.software}</p>}
      {plan.backend === 'wasm' && <p class="note note-warn">{donate.wasm}</p>}
    </div>
  )
}

/** Where the blocks lie in the model. */
function SpanBar({ plan }: { plan: DonorPlan }) {
  return (
    <div class="span-bar" aria-hidden="true">
      {Array.from({ length: plan.blocks }, (_, block) => (
        <span key={block} class={plan.span.start <= block && block < plan.span.end ? 'is-mine' : ''} />
      ))}
    </div>
  )
}

export function Terms() {
  const { donate } = useTexts().messages
  return (
    <div class="terms">
      <h2>{donate.termsTitle}</h2>
      <ul>
        <li>{donate.termPrompts}</li>
        <li>{donate.termIp}</li>
        <li>{donate.termCode}</li>
        <li>{donate.termPower}</li>
      </ul>
    </div>
  )
}
