/** Language and theme. */
import { useServices, useTexts } from '../services.ts'
import { LANGUAGE_NAMES, LANGUAGES } from '../i18n/languages.ts'
import type { Theme } from '../state/preferences.ts'

const THEMES: readonly Theme[] = ['auto', 'light', 'dark']

/** The fields may stand twice on a page (rail and menu): ids are told apart by `idPrefix`. */
export function PreferenceFields({ idPrefix }: { idPrefix: string }) {
  const { preferences } = useServices()
  const { app } = useTexts().messages
  const themeName: Record<Theme, string> = { auto: app.themeAuto, light: app.themeLight, dark: app.themeDark }
  return (
    <div class="preferences">
      <div class="field-inline">
        <label for={`${idPrefix}-language`}>{app.language}</label>
        <select
          id={`${idPrefix}-language`}
          data-testid={`${idPrefix}-language`}
          value={preferences.language.value}
          onChange={(event) => {
            const language = LANGUAGES.find((name) => name === event.currentTarget.value)
            if (language !== undefined) preferences.language.value = language
          }}
        >
          {LANGUAGES.map((language) => (
            <option key={language} value={language} lang={language}>
              {LANGUAGE_NAMES[language]}
            </option>
          ))}
        </select>
      </div>
      <div class="field-inline">
        <label for={`${idPrefix}-theme`}>{app.theme}</label>
        <select
          id={`${idPrefix}-theme`}
          data-testid={`${idPrefix}-theme`}
          value={preferences.theme.value}
          onChange={(event) => {
            const theme = THEMES.find((name) => name === event.currentTarget.value)
            if (theme !== undefined) preferences.theme.value = theme
          }}
        >
          {THEMES.map((theme) => (
            <option key={theme} value={theme}>
              {themeName[theme]}
            </option>
          ))}
        </select>
      </div>
    </div>
  )
}
