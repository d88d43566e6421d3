/** The dictionary of a language, and an error in that language's words. */
import type { PlainError } from '../../../swarm/errors.ts'
import { en, type Messages } from './en.ts'
import { errorsEn, type ErrorText } from './errors-en.ts'
import { errorsKo } from './errors-ko.ts'
import { createFormats, type Formats } from './format.ts'
import { ko } from './ko.ts'
import type { Language } from './languages.ts'

export interface Texts {
  readonly language: Language
  readonly messages: Messages
  readonly formats: Formats
  error(error: PlainError): ErrorSentences
}

/** What happened · what is being done · what you can do; the error's own words for the details. */
export interface ErrorSentences {
  what: string
  doing: string | null
  action: string | null
  details: string
}

const DICTIONARIES: Record<Language, Messages> = { en, ko }
const ERRORS: Record<Language, Record<string, ErrorText>> = { en: errorsEn, ko: errorsKo }

export function textsFor(language: Language): Texts {
  return {
    language,
    messages: DICTIONARIES[language],
    formats: createFormats(language),
    error(error) {
      // A code from a newer peer or worker is not in the table: its own message has to do.
      const text = ERRORS[language][error.code]
      return {
        what: text?.what ?? error.message,
        doing: text?.doing ?? null,
        action: (language === 'en' ? error.action : undefined) ?? text?.action ?? error.action ?? null,
        details: `${error.message} (${error.code})`,
      }
    },
  }
}
