import fc from 'fast-check'
import { expect, test } from 'vitest'
import { VirtualClock } from '../../../../swarm/simulator/virtual-clock.ts'

test('events run in order of time, and of entry where times are equal', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: 20 }), { maxLength: 200 }), (times) => {
      const clock = new VirtualClock()
      const ran: [number, number][] = []
      for (const [index, t] of times.entries()) {
        clock.at(t, () => {
          expect(clock.now).toBe(t)
          ran.push([t, index])
        })
      }
      clock.runUntil(100)
      expect(ran).toEqual(
        times.map((t, index): [number, number] => [t, index]).toSorted((a, b) => a[0] - b[0] || a[1] - b[1]),
      )
      expect(clock.now).toBe(100)
    }),
  )
})

test('events may enter others, also for this very moment; later ones stay', () => {
  const clock = new VirtualClock()
  const ran: string[] = []
  clock.at(1, () => {
    ran.push('first')
    clock.after(0, () => ran.push('at once'))
    clock.after(2, () => ran.push('too late'))
  })
  clock.at(1, () => ran.push('second'))
  clock.runUntil(2)
  expect(ran).toEqual(['first', 'second', 'at once'])
})
