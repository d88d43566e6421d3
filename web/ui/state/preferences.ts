/** Language, theme, sampling and power settings: signals that are written back to storage when they change. */
import { computed, effect, signal, type ReadonlySignal, type Signal } from '@preact/signals'
import { LANGUAGES, type Language } from '../i18n/languages.ts'
import { DEFAULT_SETTINGS, SPECULATE_SETTINGS, type ChatSettings } from './chat-types.ts'
import type { SettingsStorage } from './ports.ts'
import { readPower, type PowerSettings } from './power.ts'

/** Every one is looked for at each token. */
const MAX_STOP_TEXTS = 16
const MAX_STOP_CHARS = 200

/** auto: what the system prefers. */
export type Theme = 'auto' | 'light' | 'dark'

export interface Preferences {
  language: Signal<Language>
  theme: Signal<Theme>
  settings: Signal<ChatSettings>
  /** Of a donor tab. */
  power: Signal<PowerSettings>
  /** Whether any setting differs from the model's own. */
  adjusted: ReadonlySignal<boolean>
}

export function createPreferences(storage: SettingsStorage, browserLanguages: readonly string[]): Preferences {
  const language = signal<Language>(readLanguage(storage.get('language'), browserLanguages))
  const theme = signal<Theme>(readTheme(storage.get('theme')))
  const settings = signal<ChatSettings>(readSettings(storage.get('settings')))
  const power = signal<PowerSettings>(readPower(storage.get('power')))
  let first = true
  effect(() => {
    const values = [language.value, theme.value, JSON.stringify(settings.value), JSON.stringify(power.value)] as const
    if (!first) {
      storage.set('language', values[0])
      storage.set('theme', values[1])
      storage.set('settings', values[2])
      storage.set('power', values[3])
    }
    first = false
  })
  const adjusted = computed(() => JSON.stringify(settings.value) !== JSON.stringify(DEFAULT_SETTINGS))
  return { language, theme, settings, power, adjusted }
}

function readLanguage(stored: string | null, browserLanguages: readonly string[]): Language {
  const known = LANGUAGES.find((language) => language === stored)
  if (known !== undefined) return known
  for (const wanted of browserLanguages) {
    const match = LANGUAGES.find((language) => wanted.toLowerCase().split('-')[0] === language)
    if (match !== undefined) return match
  }
  return 'en'
}

function readTheme(stored: string | null): Theme {
  return stored === 'light' || stored === 'dark' ? stored : 'auto'
}

/** Reads what an older build may have written: unknown and unfit values fall back to the default. */
export function readSettings(stored: string | null): ChatSettings {
  if (stored === null) return DEFAULT_SETTINGS
  let value: unknown
  try {
    value = JSON.parse(stored)
  } catch {
    return DEFAULT_SETTINGS
  }
  if (typeof value !== 'object' || value === null) return DEFAULT_SETTINGS
  const v = value as Record<string, unknown>
  return {
    temperature: numberIn(v['temperature'], 0, 5),
    topP: numberIn(v['topP'], 0, 1),
    topK: numberIn(v['topK'], 0, 1024),
    repetitionPenalty: numberIn(v['repetitionPenalty'], 0.1, 10),
    maxTokens: numberIn(v['maxTokens'], 1, 1_048_576) ?? DEFAULT_SETTINGS.maxTokens,
    seed: numberIn(v['seed'], 0, Number.MAX_SAFE_INTEGER),
    systemPrompt: typeof v['systemPrompt'] === 'string' ? v['systemPrompt'].slice(0, 20_000) : '',
    stop: Array.isArray(v['stop']) ? readStopTexts(v['stop'].join('\n')) : [],
    speculate: SPECULATE_SETTINGS.find((name) => name === v['speculate']) ?? DEFAULT_SETTINGS.speculate,
    mixWeights: v['mixWeights'] === true,
  }
}

/** As written in the field, one a line; empty lines are none. */
export function readStopTexts(text: string): string[] {
  return text
    .split('\n')
    .filter((line) => line !== '')
    .slice(0, MAX_STOP_TEXTS)
    .map((line) => line.slice(0, MAX_STOP_CHARS))
}

function numberIn(value: unknown, min: number, max: number): number | null {
  return typeof value === 'number' && Number.isFinite(value) && value >= min && value <= max ? value : null
}
