/** Puts the page into an element: the only place that calls `render`. */
import { render } from 'preact'
import { App } from './app.tsx'
import { textsFor } from './i18n/texts.ts'
import type { Language } from './i18n/languages.ts'
import { BrokenPage, InsecurePage } from './notice-page.tsx'
import { ServicesProvider, type Services } from './services.ts'

export function mountApp(root: Element, services: Services): void {
  render(
    <ServicesProvider value={services}>
      <App />
    </ServicesProvider>,
    root,
  )
}

export function mountInsecure(root: Element, language: Language): void {
  document.documentElement.lang = language
  render(<InsecurePage messages={textsFor(language).messages} />, root)
}

export function mountBroken(root: Element, language: Language, reason: string): void {
  document.documentElement.lang = language
  render(<BrokenPage messages={textsFor(language).messages} reason={reason} />, root)
}
