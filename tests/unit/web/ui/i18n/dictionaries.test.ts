import { describe, expect, test } from 'vitest'
import { en } from '../../../../../web/ui/i18n/en.ts'
import { errorsEn } from '../../../../../web/ui/i18n/errors-en.ts'
import { errorsKo } from '../../../../../web/ui/i18n/errors-ko.ts'
import { createFormats } from '../../../../../web/ui/i18n/format.ts'
import { ko } from '../../../../../web/ui/i18n/ko.ts'
import { textsFor } from '../../../../../web/ui/i18n/texts.ts'

type Tree = { [key: string]: unknown }

/** Every text with its path; functions are called with recognisable arguments. */
function texts(tree: Tree, path = ''): [string, string][] {
  return Object.entries(tree).flatMap(([key, value]): [string, string][] => {
    const at = `${path}.${key}`
    if (typeof value === 'string') return [[at, value]]
    if (typeof value === 'function') {
      const args = Array.from({ length: value.length }, (_, i) => 41 + i)
      return [[at, String((value as (...all: unknown[]) => string)(...args))]]
    }
    return texts(value as Tree, at)
  })
}

const english = new Map(texts(en))
const korean = new Map(texts(ko))

describe('dictionaries', () => {
  test('have the same keys and no empty text', () => {
    expect([...korean.keys()].toSorted()).toEqual([...english.keys()].toSorted())
    for (const [key, text] of [...english, ...korean]) expect(text.trim(), key).not.toBe('')
  })

  test('Korean is Korean wherever English is a sentence', () => {
    for (const [key, text] of english) {
      if (text.split(' ').length < 5) continue
      expect(korean.get(key), key).toMatch(/[가-힣]/)
    }
  })

  test('no text shows undefined or a function', () => {
    for (const [key, text] of [...english, ...korean]) expect(text, key).not.toMatch(/undefined|=>|\[object/)
  })

  test('every error says what happened, in both languages', () => {
    expect(Object.keys(errorsKo).toSorted()).toEqual(Object.keys(errorsEn).toSorted())
    for (const [code, { what }] of Object.entries(errorsEn)) expect(what, code).toMatch(/\.$/)
    for (const [code, { what }] of Object.entries(errorsKo)) expect(what, code).toMatch(/[가-힣].*\.$/)
    for (const code of Object.keys(errorsEn) as (keyof typeof errorsEn)[]) {
      expect(errorsEn[code].action === undefined, code).toBe(errorsKo[code].action === undefined)
    }
  })
})

describe('an error in words', () => {
  test('is translated by its code and keeps its own words as details', () => {
    const error = { code: 'HUB_GATED' as const, message: 'status 403 for org/x', retryable: false }
    expect(textsFor('ko').error(error).what).toBe(errorsKo.HUB_GATED.what)
    expect(textsFor('en').error(error).details).toBe('status 403 for org/x (HUB_GATED)')
  })

  test('prefers the more exact action of the error itself, in its language', () => {
    const error = { code: 'BAD_OPTION' as const, message: 'stage is 9', retryable: false, action: 'Give stage 0 to 3.' }
    expect(textsFor('en').error(error).action).toBe('Give stage 0 to 3.')
    expect(textsFor('ko').error(error).action).toBe(errorsKo.BAD_OPTION.action)
  })

  test('falls back to its message when the code is newer than this page', () => {
    const error = { code: 'FROM_THE_FUTURE', message: 'something new', retryable: false, action: 'Wait.' }
    const { what, action } = textsFor('ko').error(error as never)
    expect([what, action]).toEqual(['something new', 'Wait.'])
  })
})

describe('formats', () => {
  const formats = createFormats('en')
  test.each([
    [0, '0 B'],
    [999, '999 B'],
    [1500, '1.5 kB'],
    [1_770_000, '1.8 MB'],
    [270_000_000, '270 MB'],
    [16_060_000_000, '16.1 GB'],
  ])('%d bytes', (value, text) => expect(formats.bytes(value)).toBe(text))
  test.each([
    [412, '412 ms'],
    [2_100, '2.1 sec'],
    [61_000, '1 min'],
    [4_800_000, '1 hr 20 min'],
  ])('%d ms', (value, text) => expect(formats.duration(value)).toBe(text))
})
