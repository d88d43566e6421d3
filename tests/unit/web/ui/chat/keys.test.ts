import { describe, expect, test } from 'vitest'
import { isSendKey, type KeyPress } from '../../../../../web/ui/chat/keys.ts'

const enter: KeyPress = {
  key: 'Enter',
  keyCode: 13,
  shiftKey: false,
  altKey: false,
  ctrlKey: false,
  metaKey: false,
  isComposing: false,
}

describe('when Enter sends', () => {
  test('plain Enter does', () => expect(isSendKey(enter)).toBe(true))
  test('another key does not', () => expect(isSendKey({ ...enter, key: 'a' })).toBe(false))
  test.each(['shiftKey', 'altKey', 'ctrlKey', 'metaKey'] as const)('with %s it does not', (modifier) => {
    expect(isSendKey({ ...enter, [modifier]: true })).toBe(false)
  })
  test('while Hangul is composed it does not', () => expect(isSendKey({ ...enter, isComposing: true })).toBe(false))
  test('the key that Safari reports after the composition does not', () => {
    expect(isSendKey({ ...enter, keyCode: 229 })).toBe(false)
  })
})
