import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { createLog } from '../../../relay/log.ts'
import { Refusals } from '../../../relay/refusals.ts'

beforeEach(() => void vi.useFakeTimers({ now: new Date('2026-01-02T03:04:05Z') }))
afterEach(() => void vi.useRealTimers())

it('writes lines for people', () => {
  const lines: string[] = []
  const log = createLog('text', (line) => lines.push(line))
  log.print('DHT visible multiaddrs')
  log.info('relay ready', { port: 8080 })
  log.warn('odd', { reason: 'two words', kind: 'x' })
  log.error('broken')
  expect(lines).toEqual([
    'DHT visible multiaddrs\n',
    '03:04:05 relay ready port=8080\n',
    '03:04:05 warning: odd reason="two words" kind=x\n',
    '03:04:05 error: broken\n',
  ])
})

it('writes JSON lines on request', () => {
  const lines: string[] = []
  const log = createLog('json', (line) => lines.push(line))
  log.warn('odd', { port: 1 })
  log.print('a line')
  expect(lines.map((line) => JSON.parse(line) as unknown)).toEqual([
    { level: 'warn', time: '2026-01-02T03:04:05.000Z', port: 1, msg: 'odd' },
    { level: 'info', time: '2026-01-02T03:04:05.000Z', msg: 'a line' },
  ])
})

it('writes the first refusal of a kind at once and the rest of a second as a count', () => {
  const lines: string[] = []
  const counted: string[] = []
  const refusals = new Refusals(
    createLog('text', (line) => lines.push(line)),
    (reason) => counted.push(reason),
  )
  for (let i = 0; i < 1_000; i += 1) refusals.note('12D3', 'max-connections', 'full')
  refusals.note('12D3', 'version', 'too old')
  expect(lines).toEqual([
    '03:04:05 warning: PEER_STATUS peer=12D3 reason=max-connections text=full\n',
    '03:04:05 warning: PEER_STATUS peer=12D3 reason=version text="too old"\n',
  ])
  vi.advanceTimersByTime(1_000)
  expect(lines.slice(2)).toEqual(['03:04:06 warning: PEER_STATUS peer=- reason=max-connections more=999\n'])
  expect(counted).toHaveLength(1_001)
  refusals.note('12D3', 'max-connections', 'full')
  expect(lines).toHaveLength(4)
  refusals.stop()
})
