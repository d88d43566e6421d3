import { expect, it } from 'vitest'
import { Admission } from '../../../relay/swarm/admission.ts'
import { RecordQuota } from '../../../relay/record-quota.ts'
import { Egress } from '../../../relay/egress.ts'

const limits = { maxConnections: 5, maxPendingConnections: 3, maxJoinsPerSecond: 2 }

it('counts joins a second by address, and loopback never', () => {
  let now = 0
  const admission = new Admission(limits, () => now)
  const join = (address: string | null) => {
    const refusal = admission.join(address)
    if (refusal === null) admission.settled()
    return refusal?.limit ?? 'in'
  }
  expect([join('a'), join('a'), join('a'), join('b')]).toEqual(['in', 'in', 'max-joins-per-second', 'in'])
  now = 999
  expect(join('a')).toBe('max-joins-per-second')
  now = 1_000
  expect(join('a')).toBe('in')
  admission.left()
  expect([join(null), join(null), join(null)]).toEqual(['in', 'in', 'max-connections'])
})

it('counts connections and handshakes, and a refused one takes no place', () => {
  const admission = new Admission(limits, () => 0)
  for (let i = 0; i < 3; i += 1) expect(admission.join(null)).toBeNull()
  expect(admission.join(null)?.limit).toBe('max-pending-connections')
  admission.settled()
  expect(admission.join(null)).toBeNull()
  admission.settled()
  expect(admission.join(null)).toBeNull()
  admission.settled()
  expect(admission.join(null)?.limit).toBe('max-connections')
  admission.left()
  expect(admission.join(null)).toBeNull()
  expect([admission.connections, admission.pending]).toEqual([5, 3])
})

it('says every refusal in at most the 123 bytes of a WebSocket close', () => {
  const most = { maxConnections: 1e9, maxPendingConnections: 1e9, maxJoinsPerSecond: 1e9 }
  for (const name of ['maxConnections', 'maxPendingConnections', 'maxJoinsPerSecond'] as const) {
    const refusal = new Admission({ ...most, [name]: 0 }, () => 0).join('a')
    expect(`${refusal?.limit}: ${refusal?.text}`.length).toBeLessThanOrEqual(123)
    expect(refusal).not.toBeNull()
  }
})

it('explains refusals only up to a rate', () => {
  let now = 0
  const admission = new Admission(limits, () => now)
  const explained = Array.from({ length: 100 }, () => admission.mayExplain()).filter(Boolean).length
  expect(explained).toBeGreaterThan(0)
  expect(explained).toBeLessThan(100)
  now = 1_000
  expect(admission.mayExplain()).toBe(true)
})

it('gives places for records by address, and takes a burst of records but no stream of them', () => {
  let now = 0
  const quota = new RecordQuota(2, () => now)
  expect([quota.takePlace('p1', 'a'), quota.takePlace('p2', 'a'), quota.takePlace('p3', 'a')]).toEqual([
    true,
    true,
    false,
  ])
  expect(quota.takePlace('p1', 'a')).toBe(true)
  expect(quota.takePlace('p3', null)).toBe(true)
  quota.release('p2')
  expect(quota.takePlace('p3', 'a')).toBe(true)
  const burst = Array.from({ length: 100 }, () => quota.takePublish('p1')).filter(Boolean).length
  expect(burst).toBeGreaterThanOrEqual(10)
  expect(burst).toBeLessThan(100)
  now = 1_000
  expect(quota.takePublish('p1')).toBe(true)
})

it('starts the day’s bytes anew at midnight', () => {
  let now = 86_400_000 * 3 - 1
  const egress = new Egress(() => now)
  egress.add(5)
  egress.add(6)
  expect(egress.today()).toBe(11)
  now += 1
  expect(egress.today()).toBe(0)
  egress.add(1)
  expect(egress.today()).toBe(1)
})
