/** What may be chosen before the start: model, number of blocks, memory, weights, and a token for gated models. */
import { WEIGHT_CHOICES } from '../../../swarm/model/config.ts'
import { useServices, useTexts } from '../services.ts'
import { useDraft } from '../parts/use-draft.ts'
import { ModelPicker } from '../chat/model-bar.tsx'
import { isRunning, type PlannedChoices } from '../state/donating.ts'
import { MemorySlider } from './memory-slider.tsx'

export function DonorOptions() {
  const { donating, models, environment } = useServices()
  const { donate } = useTexts().messages
  const choices = donating.choices.value
  const disabled = isRunning(donating.state.value)
  const fixed = donating.defaults.stage !== undefined && donating.defaults.useLoadBalancing !== true
  const set = (change: Partial<PlannedChoices>) => {
    donating.choices.value = { ...choices, ...change }
  }
  const typedBlocks = useDraft(choices.numBlocks ?? '')
  const chosen = models.chosen.value
  const blocks = chosen?.blocks ?? null
  return (
    <div class="options">
      <div class="field">
        <label for="donate-model">{donate.model}</label>
        <ModelPicker id="donate-model" onOther={null} disabled={disabled} />
      </div>
      <div class="field">
        <label for="donate-blocks">{donate.blocks}</label>
        <input
          id="donate-blocks"
          type="number"
          inputMode="numeric"
          min={1}
          max={blocks ?? 256}
          step={1}
          disabled={disabled || fixed}
          placeholder={donate.blocksAuto}
          {...typedBlocks}
          aria-describedby="donate-blocks-help"
          onChange={(event) => {
            const input = event.currentTarget
            if (input.validity.valid) set({ numBlocks: input.value === '' ? null : input.valueAsNumber })
            else input.reportValidity()
          }}
        />
        <p class="help" id="donate-blocks-help">
          {fixed ? donate.planFixed : donate.blocksHelp}
        </p>
      </div>
      <MemorySlider disabled={disabled} />
      <details class="options-more">
        <summary>{donate.options}</summary>
        <div class="fields-grid">
          <div class="field">
            <label for="donate-weights">{donate.weights}</label>
            <select
              id="donate-weights"
              disabled={disabled}
              value={choices.weights}
              onChange={(event) => {
                const weights = WEIGHT_CHOICES.find((name) => name === event.currentTarget.value)
                if (weights !== undefined) set({ weights })
              }}
            >
              {WEIGHT_CHOICES.map((name) => (
                <option key={name} value={name}>
                  {name === 'auto' ? donate.weightsAuto : name}
                </option>
              ))}
            </select>
          </div>
          <div class="field field-wide">
            <label for="donate-token">{donate.token}</label>
            <input
              id="donate-token"
              type="password"
              autocomplete="off"
              spellcheck={false}
              aria-describedby="donate-token-help"
              onChange={(event) => environment.setHubToken(event.currentTarget.value.trim())}
            />
            <p class="help" id="donate-token-help">
              {donate.tokenHelp}
            </p>
          </div>
        </div>
      </details>
    </div>
  )
}
