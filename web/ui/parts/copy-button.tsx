/** Copies a text and says so for a moment, in the button itself. */
import { useSignal } from '@preact/signals'
import { useServices, useTexts } from '../services.ts'
import { CopyIcon } from './icons.tsx'

/** Long enough to be read. */
const SAID_MS = 1600

export function CopyButton({ text }: { text: () => string }) {
  const { environment } = useServices()
  const { chat } = useTexts().messages
  const copied = useSignal(false)
  const copy = async () => {
    await environment.copyText(text())
    copied.value = true
    setTimeout(() => {
      copied.value = false
    }, SAID_MS)
  }
  return (
    <button type="button" class="button-quiet" onClick={() => void copy()}>
      <CopyIcon />
      <span aria-live="polite">{copied.value ? chat.copied : chat.copy}</span>
    </button>
  )
}
