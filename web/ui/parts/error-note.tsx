/** An error as sentences: what happened · what is being done · what you can do; its own words folded below. */
import type { ComponentChildren } from 'preact'
import type { PlainError } from '../../../swarm/errors.ts'
import { useTexts } from '../services.ts'
import { CloseIcon } from './icons.tsx'

export function ErrorNote(props: { error: PlainError; onDismiss?: () => void; children?: ComponentChildren }) {
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
