/** The page when it cannot run: one sentence on why, and what to do. Needs nothing but a dictionary. */
import type { Messages } from './i18n/en.ts'
import { Mark } from './parts/icons.tsx'

export function InsecurePage({ messages }: { messages: Messages }) {
  return (
    <main class="notice-page" data-testid="insecure">
      <Mark size={64} />
      <h1>{messages.app.insecureTitle}</h1>
      <p>{messages.app.insecure}</p>
    </main>
  )
}

export function BrokenPage({ messages, reason }: { messages: Messages; reason: string }) {
  return (
    <main class="notice-page">
      <Mark size={64} />
      <h1>{messages.app.broken}</h1>
      <p role="alert">{reason}</p>
      <button type="button" class="button" onClick={() => location.reload()}>
        {messages.app.reload}
      </button>
    </main>
  )
}
