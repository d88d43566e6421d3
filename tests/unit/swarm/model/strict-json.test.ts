import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { StrictJson } from '../../../../swarm/model/strict-json.ts'
import { parseStrictJson, StrictJsonError } from '../../../../swarm/model/strict-json.ts'

/** Maps back to objects; keys like `__proto__` as own properties, as JSON.parse makes them. */
function plain(value: StrictJson): unknown {
  if (value instanceof Map) {
    const object: Record<string, unknown> = {}
    for (const [key, member] of value) {
      Object.defineProperty(object, key, { value: plain(member), enumerable: true, configurable: true, writable: true })
    }
    return object
  }
  return Array.isArray(value) ? value.map(plain) : value
}

test('agrees with JSON.parse on every text that JSON.stringify writes', () => {
  fc.assert(
    fc.property(fc.json({ maxDepth: 5 }), (text) => {
      expect(plain(parseStrictJson(text, { maxDepth: 20 }))).toEqual(JSON.parse(text))
    }),
    { numRuns: 500 },
  )
})

test('refuses what JSON.parse refuses', () => {
  const pieces = fc.constantFrom(
    '{',
    '}',
    '[',
    ']',
    '"a"',
    ':',
    ',',
    '1',
    '-',
    '01',
    '1.',
    '.5',
    'null',
    'nul',
    ' ',
    '"\n"',
  )
  fc.assert(
    fc.property(fc.array(pieces, { maxLength: 8 }), (parts) => {
      const text = parts.join('')
      let valid = true
      try {
        JSON.parse(text)
      } catch {
        valid = false
      }
      if (valid) return void parseStrictJson(text, { maxDepth: 20 })
      expect(() => parseStrictJson(text, { maxDepth: 20 })).toThrow(StrictJsonError)
    }),
    { numRuns: 2000 },
  )
})

test.each([
  ['{"a":1,"a":1}', /duplicate key "a"/],
  ['{"a":1,"\\u0061":1}', /duplicate key "a"/],
  ['{"__proto__":1,"__proto__":2}', /duplicate key/],
  ['[[[[]]]]', /deeper than 3/],
  ['"\\ud800', /unterminated/],
  ['"\\x"', /bad escape/],
  ['1e5', /not a safe integer/],
  ['1.0', /not a safe integer/],
  ['9007199254740992', /not a safe integer/],
  ['', /found the end/],
  ['{} x', /expected the end/],
])('refuses %s', (text, reason) => {
  expect(() => parseStrictJson(text, { maxDepth: 3, integersOnly: true })).toThrow(reason)
})
