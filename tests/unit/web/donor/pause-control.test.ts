/** Who pauses whom: the owner's word against reasons that come and go. */
import { describe, expect, it } from 'vitest'
import { PauseControl, type Pausable } from '../../../../web/donor/pause-control.ts'
import { FakePower } from './fake-swarm.ts'

function control(power = new FakePower()) {
  const calls: string[] = []
  const lines: string[] = []
  const serving: Pausable = {
    pause: (by) => calls.push(`pause ${by}`),
    resume: () => calls.push('resume'),
    finish: () => calls.push('finish'),
  }
  const made = new PauseControl({ power, log: { info: (text) => lines.push(text) } })
  return { power, calls, lines, control: made, begin: () => made.begin(serving) }
}

describe('reasons', () => {
  it('pause and resume, each with a line', () => {
    const { power, calls, lines, begin } = control()
    begin()
    power.set({ onBattery: true })
    power.set({ onBattery: false })
    expect(calls).toEqual(['pause battery', 'resume'])
    expect(lines).toEqual([expect.stringMatching(/^Paused: .* battery/), expect.stringMatching(/^Resumes: .*battery/)])
  })

  it('count only where the owner has agreed, from the moment they do, and no longer', () => {
    const { power, calls, begin } = control()
    begin()
    power.set({}, { onBattery: false, whenMetered: false })
    power.set({ onBattery: true, isMetered: true })
    expect(calls).toEqual([])
    power.set({}, { onBattery: true })
    expect(calls).toEqual(['pause battery'])
    power.set({}, { onBattery: false })
    expect(calls).toEqual(['pause battery', 'resume'])
  })

  it('that the browser does not tell are none', () => {
    const { power, calls, begin } = control()
    power.set({ onBattery: null, isMetered: null })
    begin()
    power.set({ onBattery: null })
    expect(calls).toEqual([])
  })

  it('two at once: the pause ends with the last', () => {
    const { power, calls, begin } = control()
    begin()
    power.set({ onBattery: true })
    power.set({ isMetered: true })
    power.set({ onBattery: false })
    power.set({ isMetered: false })
    expect(calls).toEqual(['pause battery', 'pause metered', 'resume'])
  })

  it('pause nothing before it serves', () => {
    const { power, calls, begin } = control()
    power.set({ onBattery: true })
    expect(calls).toEqual([])
    begin()
    expect(calls).toEqual(['pause battery'])
  })

  it('are not listened to after the end', () => {
    const { power, calls, control: made, begin } = control()
    begin()
    made.end()
    power.set({ onBattery: true })
    made.pause()
    made.resume()
    made.finish()
    expect(calls).toEqual([])
  })
})

describe('the owner', () => {
  it('who resumes sets a reason aside until it has gone and come again', () => {
    const { power, calls, lines, control: made, begin } = control()
    begin()
    power.set({ onBattery: true })
    made.resume()
    power.set({ isMetered: false })
    expect(calls).toEqual(['pause battery', 'resume'])
    expect(lines.at(-1)).toMatch(/^Serves on battery all the same/)
    power.set({ onBattery: false })
    power.set({ onBattery: true })
    expect(calls).toEqual(['pause battery', 'resume', 'pause battery'])
  })

  it('who sets one reason aside is still paused for another', () => {
    const { power, calls, control: made, begin } = control()
    begin()
    power.set({ onBattery: true })
    made.resume()
    power.set({ isMetered: true })
    expect(calls).toEqual(['pause battery', 'resume', 'pause metered'])
    power.set({ isMetered: false })
    expect(calls.at(-1)).toBe('resume')
  })

  it('who paused is the only one to resume', () => {
    const { power, calls, control: made, begin } = control()
    begin()
    made.pause()
    power.set({ onBattery: true })
    power.set({ onBattery: false })
    expect(calls).toEqual(['pause owner'])
    made.resume()
    expect(calls).toEqual(['pause owner', 'resume'])
  })

  it('who pauses what a reason has paused makes it their own', () => {
    const { power, calls, control: made, begin } = control()
    begin()
    power.set({ onBattery: true })
    made.pause()
    power.set({ onBattery: false })
    expect(calls).toEqual(['pause battery', 'pause owner'])
  })

  it('who starts in spite of a reason, or finishes, is not interfered with', () => {
    const power = new FakePower()
    power.set({ isMetered: true })
    const { calls, control: made, begin } = control(power)
    begin()
    expect(calls).toEqual([])
    made.finish()
    power.set({ onBattery: true })
    expect(calls).toEqual(['finish'])
    made.resume()
    power.set({ onBattery: false })
    power.set({ onBattery: true })
    expect(calls).toEqual(['finish', 'resume', 'pause battery'])
  })
})
