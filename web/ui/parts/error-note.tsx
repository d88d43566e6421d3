/** An error as sentences: what happened · what is being done · what you can do; its own words folded below. */
import type { ComponentChildren } from 'preact'
import type { PlainError } from '../../../swarm/errors.ts'
import { safeHref } from '../markdown/links.ts'
import { useTexts } from '../services.ts'
import { CloseIcon } from './icons.tsx'
import { TokenForm } from './token-form.tsx'

/** With `takesToken` a field for the hub's token stands in a note on a model that needs one. */
export function ErrorNote(props: {
  error: PlainError
  onDismiss?: () => void
  takesToken?: boolean
  children?: ComponentChildren
}) {
  const texts = useTexts()
  const sentences = texts.error(props.error)
  const link = linkOf(props.error)
  return (
    <div class="note note-error" role="alert" data-code={props.error.code}>
      <div class="note-body">
        <p>
          <strong>{sentences.what}</strong>
          {sentences.doing !== null && <> {sentences.doing}</>}
          {sentences.action !== null && <> {sentences.action}</>}
        </p>
        {link !== null && (
          <p>
            <a href={link} target="_blank" rel="noopener noreferrer">
              {link}
            </a>
          </p>
        )}
        <details>
          <summary>{texts.messages.chat.details}</summary>
          <p class="note-details">{sentences.details}</p>
        </details>
        {props.takesToken === true && needsToken(props.error) && <TokenForm id="note-token" />}
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

function needsToken({ code, details }: PlainError): boolean {
  // Whoever is not signed in is told that a private model does not exist.
  const mayBePrivate = code === 'HUB_NOT_FOUND' && details?.['status'] === 401
  return code === 'HUB_GATED' || code === 'HUB_UNAUTHORIZED' || mayBePrivate
}

/** The page on the hub where a licence is accepted, for errors that have one. */
function linkOf({ details }: PlainError): string | null {
  const page = details?.['page']
  return typeof page === 'string' ? safeHref(page) : null
}
