/** A newer build of the page is there: reloading is offered, and never done by itself. */
import { useServices, useTexts } from '../services.ts'
import { isRunning } from '../state/donating.ts'

export function UpdateNotice() {
  const { update, donating } = useServices()
  const text = useTexts().messages.app
  return (
    <div role="status">
      {update.isOffered.value && (
        <div class="note update-notice" data-testid="update">
          <div class="note-body">
            <p>
              {text.update} {isRunning(donating.state.value) ? text.updateServing : text.updateKept}
            </p>
            <p class="row">
              <button type="button" class="button" data-testid="update-reload" onClick={() => update.reload()}>
                {text.reload}
              </button>
              <button type="button" class="button-quiet" data-testid="update-later" onClick={() => update.later()}>
                {text.later}
              </button>
            </p>
          </div>
        </div>
      )}
    </div>
  )
}
