/** Sampling settings and the system prompt. An empty field means the model's own value, which stands in its place. */
import type { ComponentChildren } from 'preact'
import { Dialog } from '../parts/dialog.tsx'
import { useDraft } from '../parts/use-draft.ts'
import { useServices, useTexts } from '../services.ts'
import { DEFAULT_SETTINGS, SPECULATE_SETTINGS, type ChatSettings } from '../state/chat-types.ts'
import { readStopTexts } from '../state/preferences.ts'

type NumberKey = 'temperature' | 'topP' | 'topK' | 'repetitionPenalty' | 'maxTokens' | 'seed'
const RANGES: Record<NumberKey, { min: number; max: number; step: number | 'any' }> = {
  temperature: { min: 0, max: 5, step: 'any' },
  topP: { min: 0, max: 1, step: 'any' },
  topK: { min: 0, max: 1024, step: 1 },
  repetitionPenalty: { min: 0.1, max: 10, step: 'any' },
  maxTokens: { min: 1, max: 1_048_576, step: 1 },
  seed: { min: 0, max: Number.MAX_SAFE_INTEGER, step: 1 },
}

export function SettingsDialog({ open, onClose }: { open: boolean; onClose: () => void }) {
  const { preferences } = useServices()
  const { settings } = useTexts().messages
  const stop = useDraft(preferences.settings.value.stop.join('\n'))
  return (
    <Dialog open={open} title={settings.title} onClose={onClose} class="dialog-settings">
      <form class="fields" method="dialog">
        <div class="fields-grid">
          <NumberField name="temperature" help={settings.temperatureHelp} />
          <NumberField name="topP" help={settings.topPHelp} />
          <NumberField name="topK" help={settings.topKHelp} />
          <NumberField name="repetitionPenalty" help={settings.repetitionPenaltyHelp} />
          <NumberField name="maxTokens" help={settings.maxTokensHelp} />
          <NumberField name="seed" help={settings.seedHelp} />
        </div>
        <Field id="set-stop" label={settings.stop} help={settings.stopHelp}>
          <textarea
            id="set-stop"
            data-testid="setting-stop"
            aria-describedby="set-stop-help"
            rows={2}
            {...stop}
            onChange={(event) => {
              const texts = readStopTexts(event.currentTarget.value)
              preferences.settings.value = { ...preferences.settings.value, stop: texts }
            }}
          />
        </Field>
        <Field id="set-speculate" label={settings.speculate} help={settings.speculateHelp}>
          <select
            id="set-speculate"
            data-testid="setting-speculate"
            aria-describedby="set-speculate-help"
            value={preferences.settings.value.speculate}
            onChange={(event) => {
              const speculate = SPECULATE_SETTINGS.find((name) => name === event.currentTarget.value)
              if (speculate !== undefined) preferences.settings.value = { ...preferences.settings.value, speculate }
            }}
          >
            {SPECULATE_SETTINGS.map((name) => (
              <option key={name} value={name}>
                {name === 'off' ? settings.speculateOff : settings.speculateAuto}
              </option>
            ))}
          </select>
        </Field>
        <Field id="set-systemPrompt" label={settings.systemPrompt} help={settings.systemPromptHelp}>
          <textarea
            id="set-systemPrompt"
            aria-describedby="set-systemPrompt-help"
            rows={3}
            value={preferences.settings.value.systemPrompt}
            onInput={(event) => {
              preferences.settings.value = { ...preferences.settings.value, systemPrompt: event.currentTarget.value }
            }}
          />
        </Field>
        <div class="choice">
          <input
            type="checkbox"
            id="set-mixWeights"
            data-testid="setting-mixWeights"
            aria-describedby="set-mixWeights-help"
            checked={preferences.settings.value.mixWeights}
            onChange={(event) => {
              const mixWeights = event.currentTarget.checked
              preferences.settings.value = { ...preferences.settings.value, mixWeights }
            }}
          />
          <label for="set-mixWeights">{settings.mixWeights}</label>
          <p class="help" id="set-mixWeights-help">
            {settings.mixWeightsHelp}
          </p>
        </div>
        <div class="row">
          <button
            type="button"
            class="button-quiet"
            onClick={() => {
              preferences.settings.value = DEFAULT_SETTINGS
            }}
          >
            {settings.reset}
          </button>
          <span class="spring" />
          <button type="submit" class="button">
            {settings.done}
          </button>
        </div>
      </form>
    </Dialog>
  )
}

function NumberField({ name, help }: { name: NumberKey; help: string }) {
  const { preferences, models } = useServices()
  const { messages, formats } = useTexts()
  const { settings } = messages
  const value = preferences.settings.value[name]
  const draft = useDraft(value ?? '')
  const range = RANGES[name]
  const own = name === 'maxTokens' ? undefined : models.opened.value?.defaults[name]
  const placeholder =
    name === 'seed'
      ? ''
      : own === undefined
        ? settings.modelDefaultUnknown
        : settings.modelDefault(formats.decimal(own, 3))
  return (
    <Field id={`set-${name}`} label={settings[name]} help={help}>
      <input
        id={`set-${name}`}
        data-testid={`setting-${name}`}
        aria-describedby={`set-${name}-help`}
        type="number"
        inputMode="decimal"
        min={range.min}
        max={range.max}
        step={range.step}
        {...draft}
        placeholder={placeholder}
        onChange={(event) => {
          preferences.settings.value = changed(preferences.settings.value, name, event.currentTarget)
        }}
      />
    </Field>
  )
}

/** What does not fit is not taken: the field shows the old value again. */
function changed(settings: ChatSettings, name: NumberKey, input: HTMLInputElement): ChatSettings {
  const empty = input.value === ''
  if (!empty && !input.validity.valid) {
    input.reportValidity()
    return settings
  }
  if (name === 'maxTokens') return { ...settings, maxTokens: empty ? DEFAULT_SETTINGS.maxTokens : input.valueAsNumber }
  return { ...settings, [name]: empty ? null : input.valueAsNumber }
}

function Field(props: { id: string; label: string; help: string; children: ComponentChildren }) {
  return (
    <div class="field">
      <label for={props.id}>{props.label}</label>
      {props.children}
      <p class="help" id={`${props.id}-help`}>
        {props.help}
      </p>
    </div>
  )
}
