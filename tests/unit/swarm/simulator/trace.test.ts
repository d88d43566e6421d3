import { expect, test } from 'vitest'
import { makeScenario } from '../../../../swarm/simulator/scenarios.ts'
import { formatEvent, joinLater, parseTrace } from '../../../../swarm/simulator/trace.ts'
import { equalPeers, refusal } from './support.ts'

const cluster = equalPeers('abc', 4)
const parse = (...lines: string[]) => parseTrace(lines.join('\n'), cluster, 'day.jsonl')

test('events come out in order of time, in the file’s order where times are equal', () => {
  const events = parse(
    '{"t": 5, "crash": "a"}',
    '',
    '{"t": 1, "session": "s1", "promptTokens": 3, "newTokens": 4}',
    '{"t": 5, "speed": "b", "factor": 0.5}',
    '{"t": 9, "join": "a"}',
  )
  expect(events.map(({ kind }) => kind)).toEqual(['session', 'crash', 'speed', 'join'])
})

test('whose first event is a join is away until then', () => {
  expect(joinLater(parse('{"t":1,"join":"a"}', '{"t":2,"leave":"b"}', '{"t":3,"join":"b"}'))).toEqual(new Set(['a']))
})

test('what is written is read back', () => {
  const { cluster: evening, trace } = makeScenario('evening', 3)
  expect(parseTrace(trace.map(formatEvent).join('\n'), evening, 'x')).toEqual(trace)
})

test.each([
  ['{"t":1', 'line 1 is not JSON'],
  ['[1]', 'line 1 must be an object'],
  ['{"t":1}', 'line 1 must have one of join, leave, crash, speed, session, and has none.'],
  ['{"t":1,"join":"a","leave":"a"}', 'and has join and leave.'],
  ['{"join":"a"}', 'line 1: t is missing'],
  ['{"t":-1,"crash":"a"}', 'line 1: t must be a number of 0 or more, and is -1.'],
  ['{"t":1,"crash":"z"}', '"z" is not a peer of the cluster file.'],
  ['{"t":1,"speed":"a"}', 'line 1: factor is missing.'],
  ['{"t":1,"speed":"a","factor":0}', 'factor must be a number above 0, and is 0.'],
  ['{"t":1,"session":"s","promptTokens":1}', 'line 1: newTokens is missing.'],
  ['{"t":1,"session":"s","promptTokens":1,"newTokens":0}', 'newTokens must be a whole number from 1'],
  ['{"t":1,"session":"s","prompt_tokens":1,"newTokens":1}', 'prompt_tokens is not known: write promptTokens'],
  ['{"t":1,"crash":"a"}\n{"t":2,"leave":"a"}', '"a" cannot leave at 2 s: it is away.'],
  ['{"t":1,"leave":"a"}\n{"t":2,"join":"a"}\n{"t":3,"join":"a"}', '"a" joins at 3 s, and is there already.'],
  [
    '{"t":1,"session":"s","promptTokens":1,"newTokens":1}\n{"t":2,"session":"s","promptTokens":1,"newTokens":1}',
    'session "s" starts a second time at 2 s.',
  ],
])('%s', (lines, sentence) => {
  expect(refusal(() => parse(lines))).toContain(sentence)
})
