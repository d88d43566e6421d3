import { expect, it } from 'vitest'
import { Admission } from '../../../relay/swarm/admission.ts'
import { RecordQuota } from '../../../relay/record-quota.ts'
import { Egress } from '../../../relay/egress.ts'

const limits = {
  maxConnections: 5,
  maxConnectionsPerAddress: 5,
  maxPendingConnections: 3,
  maxPendingConnectionsPerAddress: 3,
  maxJoinsPerSecond: 2,
}

it('counts joins a second by address, and loopback never', () => {
  let now = 0
  const admission = new Admission(limits, () => now)
  const join = (address: string | null) => {
    const refusal = admission.join(address)
    if (refusal === null) admission.settled(address)
    return refusal?.limit ?? 'in'
  }
  expect([join('a'), join('a'), join('a'), join('b')]).toEqual(['in', 'in', 'max-joins-per-second', 'in'])
  now = 999
  expect(join('a')).toBe('max-joins-per-second')
  now = 1_000
  expect(join('a')).toBe('in')
  admission.left('a')
  expect([join(null), join(null), join(null)]).toEqual(['in', 'in', 'max-connections'])
})

it('counts connections and handshakes, and a refused one takes no place', () => {
  const admission = new Admission(limits, () => 0)
  for (let i = 0; i < 3; i += 1) expect(admission.join(null)).toBeNull()
  expect(admission.join(null)?.limit).toBe('max-pending-connections')
  admission.settled(null)
  expect(admission.join(null)).toBeNull()
  admission.settled(null)
  expect(admission.join(null)).toBeNull()
  admission.settled(null)
  expect(admission.join(null)?.limit).toBe('max-connections')
  admission.left(null)
  expect(admission.join(null)).toBeNull()
  expect([admission.connections, admission.pending]).toEqual([5, 3])
})

it('one address takes a part of the places only, of those that join and of those that are in', () => {
  const part = { ...limits, maxConnectionsPerAddress: 2, maxPendingConnectionsPerAddress: 1, maxJoinsPerSecond: 100 }
  const admission = new Admission(part, () => 0)
  expect(admission.join('a')).toBeNull()
  expect(admission.join('a')?.limit).toBe('max-pending-connections-per-address')
  expect(admission.join('b')).toBeNull()
  admission.settled('a')
  expect(admission.join('a')).toBeNull()
  admission.settled('a')
  expect(admission.join('a')?.limit).toBe('max-connections-per-address')
  admission.left('a')
  expect(admission.join('a')).toBeNull()
})

it('says every refusal in at most the 123 bytes of a WebSocket close', () => {
  const most = Object.fromEntries(Object.keys(limits).map((name) => [name, 1e9])) as typeof limits
  for (const name of Object.keys(limits)) {
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
  const burst = Array.from({ length: 100 }, () => quota.takePublish('p1', null)).filter(Boolean).length
  expect(burst).toBeGreaterThanOrEqual(10)
  expect(burst).toBeLessThan(100)
  now = 1_000
  expect(quota.takePublish('p1', null)).toBe(true)
})

it('starts the day’s bytes anew at midnight', () => {
  let [now, spent] = [86_400_000 * 3 - 1, 0]
  const egress = new Egress(
    10,
    () => (spent += 1),
    () => now,
  )
  egress.add(5)
  egress.add(6)
  expect(egress.today()).toBe(11)
  now += 1
  expect(egress.today()).toBe(0)
  egress.add(1)
  expect(egress.today()).toBe(1)
  expect(egress.isSpent).toBe(false)
  egress.add(20)
  egress.add(20)
  // Told once a day.
  expect([egress.isSpent, spent]).toEqual([true, 2])
})

it('an address is held as a whole, however many peers it makes up; loopback is not', () => {
  const quota = new RecordQuota(100, () => 0)
  const many = Array.from({ length: 1_000 }, (_, i) => `p${i}`)
  const [hellos, publishes] = [
    many.filter((peer) => quota.takeHello(peer, 'a')).length,
    many.filter((peer) => quota.takePublish(peer, 'a')).length,
  ]
  // A class of students fits.
  expect(hellos).toBeGreaterThanOrEqual(64)
  expect(publishes).toBeGreaterThanOrEqual(64)
  expect(hellos).toBeLessThan(500)
  expect(publishes).toBeLessThan(500)
  expect(many.every((peer) => quota.takeHello(`local-${peer}`, null))).toBe(true)
  expect(Array.from({ length: 100 }, () => quota.takeHello('one', null)).filter(Boolean).length).toBeLessThan(20)
})
