/** An error as sentences: what happened · what is being done · what you can do; its own words folded below. */
import type { ComponentChildren } from 'preact'
import type { PlainError } from '../../../swarm/errors.ts'
import { useTexts } from '../services.ts'
import { CloseIcon } from './icons.tsx'
import { TokenForm } from './token-form.tsx'

const NEEDS_TOKEN: ReadonlySet<string> = new Set(['HUB_GATED', 'HUB_UNAUTHORIZED'])

/** With `takesToken` a field for the hub's token stands in a note on a model that needs one. */
export function ErrorNote(props: {
  error: PlainError
  onDismiss?: () => void
  takesToken?: boolean
  children?: ComponentChildren
}) {
  const texts = useTexts()
  const sentences = texts.error(props.error)
  return (
    <div class="note note-error" role="alert" data-code={props.error.code}>
      <div class="note-body">
        <p>
          <strong>{sentences.what}</strong>
          {sentences.doing !== null && <> {sentences.doing}</>}
          {sentences.action !== null && <> {sentences.action}</>}
        </p>
        <details>
          <summary>{texts.messages.chat.details}</summary>
          <p class="note-details">{sentences.details}</p>
        </details>
        {props.takesToken === true && NEEDS_TOKEN.has(props.error.code) && <TokenForm id="note-token" />}
        {props.children}
      </div>
      {props.onDismiss !== undefined && (
        <button type="button" class="button-icon" aria-label={texts.messages.chat.dismiss} onClick={props.onDismiss}>
          <CloseIcon />
        </button>
      )}
    </div>
  )
}
