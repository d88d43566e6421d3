/** When Enter sends: not with Shift, not with another modifier, and never while a character is being composed. */

export interface KeyPress {
  readonly key: string
  readonly keyCode: number
  readonly shiftKey: boolean
  readonly altKey: boolean
  readonly ctrlKey: boolean
  readonly metaKey: boolean
  readonly isComposing: boolean
}

/** What browsers report for a key that the input method takes; Safari does so even after `compositionend`. */
const TAKEN_BY_INPUT_METHOD = 229

export function isSendKey(event: KeyPress): boolean {
  if (event.key !== 'Enter' || event.isComposing || event.keyCode === TAKEN_BY_INPUT_METHOD) return false
  return !event.shiftKey && !event.altKey && !event.ctrlKey && !event.metaKey
}
