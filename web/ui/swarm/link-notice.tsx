/** What the page's address asks for and the page does not know: said once at the top, and left out. */
import { useSignal } from '@preact/signals'
import { useServices, useTexts } from '../services.ts'
import { CloseIcon } from '../parts/icons.tsx'

export function LinkNotice() {
  const { environment } = useServices()
  const { app, chat } = useTexts().messages
  const isClosed = useSignal(false)
  if (environment.linkNotes.length === 0 || isClosed.value) return null
  return (
    <div class="note link-notice" role="status" data-testid="link-notice">
      <div class="note-body">
        {environment.linkNotes.map(({ kind, name }) => (
          <p key={`${kind} ${name}`}>{kind === 'view' ? app.unknownView(name) : app.unknownParameter(name)}</p>
        ))}
      </div>
      <button
        type="button"
        class="button-icon"
        aria-label={chat.dismiss}
        onClick={() => {
          isClosed.value = true
        }}
      >
        <CloseIcon />
      </button>
    </div>
  )
}
