/** What a person is typing in a field whose value is taken only when they are done with it. */
import { useSignal } from '@preact/signals'

export interface Draft {
  value: string | number
  onInput: (event: { currentTarget: { value: string } }) => void
  /** Taken, refused, or left: the field shows what is stored again. */
  onBlur: () => void
}

/**
 * Properties for the field. Without them a redraw in the middle of typing (the model has been read, a figure came) would put the
 * stored value back, and what was typed would be gone without a word.
 */
export function useDraft(stored: string | number): Draft {
  const draft = useSignal<string | null>(null)
  return {
    value: draft.value ?? stored,
    onInput: (event) => {
      draft.value = event.currentTarget.value
    },
    onBlur: () => {
      draft.value = null
    },
  }
}
