import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { StopText } from '../../../session/stop-text.ts'

test('a stop sequence across pieces is cut, and nothing of it is shown', () => {
  const stop = new StopText(['\nUser:', 'STOP'])
  expect(stop.push('Hello')).toBe('Hello')
  expect(stop.push(' you\n')).toBe(' you')
  expect(stop.push('Us')).toBe('')
  expect(stop.push('er: and more')).toBe('')
  expect(stop.stopped).toBe(true)
  expect(stop.push('later') + stop.flush()).toBe('')
})

test('what only looked like one is shown after all', () => {
  const stop = new StopText(['STOP'])
  expect(stop.push('an ST')).toBe('an ')
  expect(stop.push('ART')).toBe('START')
  expect(stop.push(' S')).toBe(' ')
  expect(stop.flush()).toBe('S')
})

test('however text is cut into pieces, it is shown up to the first stop sequence', () => {
  const letters = fc.string({ unit: fc.constantFrom('a', 'b'), maxLength: 30 })
  fc.assert(
    fc.property(
      fc.array(fc.string({ unit: fc.constantFrom('a', 'b'), maxLength: 4 }), { maxLength: 12 }),
      fc.array(
        letters.filter((s) => s.length > 0 && s.length < 5),
        { maxLength: 3 },
      ),
      (pieces, sequences) => {
        const stop = new StopText(sequences)
        let shown = ''
        for (const piece of pieces) shown += stop.push(piece)
        shown += stop.flush()
        const text = pieces.join('')
        if (!stop.stopped) {
          expect(shown).toBe(text)
          for (const sequence of sequences) expect(text).not.toContain(sequence)
          return
        }
        expect(text.startsWith(shown)).toBe(true)
        for (const sequence of sequences) expect(shown).not.toContain(sequence)
        expect(sequences.some((sequence) => text.startsWith(shown + sequence))).toBe(true)
      },
    ),
  )
})
