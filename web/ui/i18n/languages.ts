/** The languages of the page. A new one needs a dictionary and an error table of the same shape; the compiler checks. */
export const LANGUAGES = ['en', 'ko'] as const
export type Language = (typeof LANGUAGES)[number]

export const LANGUAGE_NAMES: Record<Language, string> = { en: 'English', ko: '한국어' }
