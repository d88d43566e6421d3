/** Which model is asked, and whether the swarm can answer for it now: the picker with coverage. */
import { useSignal } from '@preact/signals'
import { formatBlockRanges } from '../../../swarm/span.ts'
import { CoverageStrip } from '../parts/coverage-strip.tsx'
import { Dialog } from '../parts/dialog.tsx'
import { useServices, useTexts } from '../services.ts'
import { modelKey } from '../state/models.ts'
import type { ModelChoice } from '../state/ports.ts'

const OTHER = '\u0000other'

export function ModelBar() {
  const { models } = useServices()
  const { chat } = useTexts().messages
  const chosen = models.chosen.value
  const naming = useSignal(false)
  return (
    <div class="model-bar">
      <ModelPicker
        id="chat-model"
        onOther={() => {
          naming.value = true
        }}
      />
      {chosen !== null && <ModelCoverage choice={chosen} />}
      <Dialog
        open={naming.value}
        title={chat.otherModel}
        onClose={() => {
          naming.value = false
        }}
      >
        <NameModel
          onDone={() => {
            naming.value = false
          }}
        />
      </Dialog>
    </div>
  )
}

export function ModelPicker({
  id,
  onOther,
  disabled,
}: {
  id: string
  onOther: (() => void) | null
  disabled?: boolean
}) {
  const { models } = useServices()
  const { chat } = useTexts().messages
  const chosen = models.chosen.value
  return (
    <div class="picker">
      <label class="sr-only" for={id}>
        {chat.model}
      </label>
      <select
        id={id}
        data-testid={id === 'chat-model' ? 'model-picker' : undefined}
        value={chosen === null ? '' : modelKey(chosen)}
        disabled={disabled ?? false}
        onChange={(event) => {
          const { value } = event.currentTarget
          if (value !== OTHER) models.choose(value)
          else {
            event.currentTarget.value = chosen === null ? '' : modelKey(chosen)
            onOther?.()
          }
        }}
      >
        {models.choices.value.map((choice) => {
          const coverage = models.coverage(choice)
          const suffix = coverage === null ? '' : ` (${chat.coverageShort(coverage.covered, coverage.blocks)})`
          return (
            <option key={modelKey(choice)} value={modelKey(choice)}>
              {choice.repo + suffix}
            </option>
          )
        })}
        {onOther !== null && <option value={OTHER}>{chat.otherModel}</option>}
      </select>
    </div>
  )
}

function ModelCoverage({ choice }: { choice: ModelChoice }) {
  const { models } = useServices()
  const { chat } = useTexts().messages
  const coverage = models.coverage(choice)
  if (coverage === null) return <p class="model-coverage">{chat.coverageUnknown}</p>
  const complete = coverage.missing.length === 0
  const text = complete
    ? chat.coverageFull(coverage.blocks, Math.min(...coverage.replicas))
    : chat.coverageMissing(formatBlockRanges(coverage.missing), coverage.missing.length)
  return (
    <p class={`model-coverage ${complete ? 'is-complete' : 'is-missing'}`} data-testid="model-coverage">
      <CoverageStrip coverage={coverage} label={chat.coverageStrip} />
      <span>{text}</span>
    </p>
  )
}

function NameModel({ onDone }: { onDone: () => void }) {
  const { models } = useServices()
  const { chat } = useTexts().messages
  const text = useSignal('')
  return (
    <form
      class="fields"
      onSubmit={(event) => {
        event.preventDefault()
        models.name(text.peek())
        onDone()
      }}
    >
      <div class="field">
        <label for="model-name">{chat.otherModelLabel}</label>
        <input
          id="model-name"
          type="text"
          required
          autocomplete="off"
          spellcheck={false}
          pattern="\s*[\w.\-]+(/[\w.\-]+)?(@[\w.\-\/]+)?\s*"
          value={text.value}
          onInput={(event) => {
            text.value = event.currentTarget.value
          }}
        />
      </div>
      <div class="row">
        <span class="spring" />
        <button type="submit" class="button">
          {chat.otherModelUse}
        </button>
      </div>
    </form>
  )
}
