import { expect, test } from 'vitest'
import { describeError, errorSentence, fromPlainError, SwarmError, toPlainError } from '../../../swarm/errors.ts'

test.each<[string, unknown, string]>([
  ['an error', new Error('no way'), 'no way'],
  ['a text', 'no way', 'no way'],
  // What a failed WebSocket dial rejects with.
  ['an event', { type: 'error' }, 'event error'],
  [
    'an error whose message is undefined',
    Object.assign(new Error('x'), { message: undefined, type: 'close' }),
    'event close',
  ],
  ['an error without a message', new Error(''), 'unknown error'],
  ['an object', {}, 'unknown error'],
  ['nothing', undefined, 'unknown error'],
  ['null', null, 'unknown error'],
])('%s has words', (_name, thrown, words) => {
  expect(describeError(thrown)).toBe(words)
  expect(toPlainError(thrown).message).toBe(words)
})

test('an error of ours crosses a worker whole', () => {
  const error = new SwarmError('PEER_LOST', 'gone', {
    retryable: true,
    peerId: 'p',
    action: 'wait',
    details: { at: 3 },
  })
  const { code, message, retryable, peerId, action, details } = fromPlainError(structuredClone(toPlainError(error)))
  expect({ code, message, retryable, peerId, action, details }).toEqual({
    code: 'PEER_LOST',
    message: 'gone',
    retryable: true,
    peerId: 'p',
    action: 'wait',
    details: { at: 3 },
  })
})

test('a sentence is one line: what happened, then what to do', () => {
  expect(errorSentence({ message: 'It broke', action: 'Mend it.' })).toBe('It broke. Mend it.')
  expect(errorSentence({ message: 'It\n  broke!' })).toBe('It broke!')
})
