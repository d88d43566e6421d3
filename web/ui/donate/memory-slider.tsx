/**
 * How much of the GPU's memory to lend, and what comes of it: blocks, bytes on the GPU, bytes to download. Every position sizes the
 * plan that stands, so that these are the plan's own figures.
 */
import { spanLength } from '../../../swarm/span.ts'
import { useServices, useTexts } from '../services.ts'

export function MemorySlider({ disabled }: { disabled: boolean }) {
  const { donating, models } = useServices()
  const { messages, formats } = useTexts()
  const { donate } = messages
  const chosen = models.chosen.value
  const plan = donating.lastPlan.value
  const gb = donating.memoryGb.value
  // Before its first plan a model has no least and no most.
  if (chosen === null || plan?.repo !== chosen.repo) return null
  const { budgetBytes, leastBytes, mostBytes, stepBytes } = plan.memory
  const bytes = gb === null ? budgetBytes : Math.round(gb * 1e9)
  // A plan that stands but is not sized yet has the figures of another position.
  const isSized = donating.state.value.status === 'ready' && Math.abs(bytes - budgetBytes) < 1
  const allowed = donate.memoryAllowed(formats.bytes(bytes))
  const takes = isSized
    ? donate.memoryTakes(
        spanLength(plan.span),
        plan.blocks,
        formats.bytes(plan.gpuBytes),
        formats.bytes(plan.downloadBytes),
      )
    : null
  return (
    <div class="field memory">
      <label for="donate-memory">{donate.memory}</label>
      <div class="memory-row">
        <input
          id="donate-memory"
          type="range"
          min={leastBytes}
          max={mostBytes}
          step={stepBytes}
          value={bytes}
          disabled={disabled}
          aria-valuetext={takes === null ? allowed : `${allowed}: ${takes}`}
          aria-describedby="donate-memory-help"
          onInput={(event) => void donating.resize(chosen, event.currentTarget.valueAsNumber / 1e9)}
        />
        <output class="memory-allowed" for="donate-memory">
          {allowed}
        </output>
      </div>
      <p data-testid="memory-takes">{takes ?? '…'}</p>
      <p class="help" id="donate-memory-help">
        {donate.memoryHelp}
      </p>
      {gb === null ? (
        <p class="help">{donate.memoryAuto}</p>
      ) : (
        <button
          type="button"
          class="button-quiet memory-own"
          disabled={disabled}
          onClick={() => void donating.resize(chosen, null)}
        >
          {donate.memoryOwn}
        </button>
      )}
    </div>
  )
}
