import { describe, expect, test } from 'vitest'
import { SwarmError } from '../../../../../swarm/errors.ts'
import { pageError } from '../../../../../web/ui/state/page-error.ts'

describe('what a browser throws', () => {
  test.each([
    ['a full storage', new DOMException('no room', 'QuotaExceededError'), 'STORAGE_FULL'],
    [
      'a part that Chromium cannot load',
      new TypeError('Failed to fetch dynamically imported module: http://localhost/assets/node-1.js'),
      'PAGE_INCOMPLETE',
    ],
    ['a part that Firefox cannot load', new TypeError('error loading dynamically imported module'), 'PAGE_INCOMPLETE'],
    ['a part that Safari cannot load', new TypeError('Importing a module script failed.'), 'PAGE_INCOMPLETE'],
    ['an error of ours', new SwarmError('HUB_CUT', 'it broke off'), 'HUB_CUT'],
  ])('%s has its sentence', (_name, error, code) => {
    expect(pageError(error).code).toBe(code)
  })

  test('anything else keeps its own words', () => {
    expect(pageError(new TypeError('x is not a function')).message).toBe('x is not a function')
  })
})
