/**
 * What a browser throws, as an error that has a sentence here: storage that is full, and a part of the page that its server no
 * longer gives. Everything else keeps its own words.
 */
import { describeError, SwarmError, toPlainError, type PlainError } from '../../../swarm/errors.ts'

/** A failed `import()`, in the words of Chromium, Firefox and Safari. */
const PART_NOT_LOADED = /dynamically imported module|Importing a module script failed/i

export function pageError(error: unknown): PlainError {
  if (isNamed(error, 'QuotaExceededError')) {
    return toPlainError(new SwarmError('STORAGE_FULL', `the browser keeps nothing more: ${describeError(error)}`))
  }
  if (error instanceof TypeError && PART_NOT_LOADED.test(error.message)) {
    return toPlainError(
      new SwarmError('PAGE_INCOMPLETE', `a part of this page could not be loaded: ${error.message}`, {
        retryable: true,
      }),
    )
  }
  return toPlainError(error)
}

/** Newer browsers throw an error class of its own, older ones a DOMException; both carry the name. */
function isNamed(error: unknown, name: string): boolean {
  return error instanceof Error && error.name === name
}
