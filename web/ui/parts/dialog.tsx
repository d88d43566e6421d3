/** A modal `<dialog>`: the browser keeps the focus inside, closes it on Escape and gives the focus back. */
import type { ComponentChildren } from 'preact'
import { useEffect, useRef } from 'preact/hooks'
import { useTexts } from '../services.ts'
import { CloseIcon } from './icons.tsx'

export function Dialog(props: {
  open: boolean
  title: string
  onClose: () => void
  class?: string
  children: ComponentChildren
}) {
  const element = useRef<HTMLDialogElement>(null)
  const { app } = useTexts().messages
  useEffect(() => {
    const dialog = element.current
    if (dialog === null) return
    if (props.open && !dialog.open) dialog.showModal()
    if (!props.open && dialog.open) dialog.close()
  }, [props.open])
  return (
    <dialog
      ref={element}
      class={`dialog ${props.class ?? ''}`}
      aria-label={props.title}
      onClose={props.onClose}
      onClick={(event) => {
        // A click on the backdrop has the dialog itself as its target.
        if (event.target === element.current) props.onClose()
      }}
    >
      {props.open && (
        <div class="dialog-inner">
          <header class="dialog-head">
            <h2>{props.title}</h2>
            <button type="button" class="button-icon" aria-label={app.close} onClick={props.onClose}>
              <CloseIcon />
            </button>
          </header>
          {props.children}
        </div>
      )}
    </dialog>
  )
}
