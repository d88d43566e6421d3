import { spawn } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { startTimeOf, tryLock } from '../../../cli/setup/lock.mjs'
import { forget, takeSlot } from '../../../cli/profile/slots.ts'
import { makeTempDir, removeTempDir } from '../../support/processes.ts'

let folder: string
beforeEach(() => (folder = makeTempDir('lock')))
afterEach(() => removeTempDir(folder))

const lockOf = (path: string) => {
  const taken = tryLock(path)
  if (!('lock' in taken)) throw new Error(`taken by ${taken.owner.pid}`)
  return taken.lock
}

/** A pid that was in use a moment ago. */
async function deadPid(): Promise<number> {
  const child = spawn(process.execPath, ['-e', ''])
  await new Promise((resolve) => child.once('close', resolve))
  return child.pid ?? 0
}

describe('tryLock', () => {
  it('is taken once, free again after release, and leaves no drafts', () => {
    const path = join(folder, 'lock')
    const lock = lockOf(path)
    expect(tryLock(path)).toEqual({ owner: { pid: process.pid, startTime: startTimeOf(process.pid) } })
    expect(readdirSync(folder)).toEqual(['lock'])
    lock.release()
    expect(readdirSync(folder)).toEqual([])
    lockOf(path).release()
  })

  it('passes on from a dead owner', async () => {
    const path = join(folder, 'lock')
    writeFileSync(path, JSON.stringify({ pid: await deadPid(), startTime: '1' }))
    lockOf(path).release()
    expect(readdirSync(folder)).toEqual([])
  })

  it('passes on when the pid lives but began at another time', () => {
    const path = join(folder, 'lock')
    writeFileSync(path, JSON.stringify({ pid: process.pid, startTime: 'another' }))
    lockOf(path).release()
  })

  it('passes on from a damaged file', () => {
    const path = join(folder, 'lock')
    writeFileSync(path, 'half a fi')
    lockOf(path).release()
  })

  it('does not remove a lock that somebody else took since', () => {
    const path = join(folder, 'lock')
    const lock = lockOf(path)
    writeFileSync(path, JSON.stringify({ pid: 1, startTime: '' }))
    lock.release()
    expect(existsSync(path)).toBe(true)
  })

  it('is held by one of many processes that start at once', async () => {
    const path = join(folder, 'lock')
    writeFileSync(path, JSON.stringify({ pid: await deadPid(), startTime: '1' }))
    const module = new URL('../../../cli/setup/lock.mjs', import.meta.url).href
    const script = `import(${JSON.stringify(module)}).then(({ tryLock }) => {
      console.log('lock' in tryLock(${JSON.stringify(path)}) ? 'mine' : 'taken')
      setTimeout(() => {}, 100000)
    })`
    const children = Array.from({ length: 6 }, () => spawn(process.execPath, ['-e', script]))
    const answers = await Promise.all(
      children.map(
        (child) => new Promise<string>((resolve) => child.stdout.once('data', (data) => resolve(String(data).trim()))),
      ),
    )
    for (const child of children) child.kill('SIGKILL')
    expect(answers.filter((answer) => answer === 'mine')).toHaveLength(1)
  })
})

describe('takeSlot', () => {
  it('takes the first free one', () => {
    const first = takeSlot(folder, undefined)
    const second = takeSlot(folder, undefined)
    expect([first.index, second.index]).toEqual([0, 1])
    first.release()
    expect(takeSlot(folder, undefined).index).toBe(0)
  })

  it('refuses a named slot that is taken, and says by whom', () => {
    takeSlot(folder, 7)
    expect(() => takeSlot(folder, 7)).toThrow(`Profile slot 7 is in use by process ${process.pid}`)
    expect(takeSlot(folder, undefined).index).toBe(0)
  })

  it('forgets caches and identities but stays locked', () => {
    const slot = takeSlot(folder, 0)
    writeFileSync(join(slot.profileDir, 'cache'), 'weights')
    writeFileSync(slot.relayKeyFile, 'key')
    forget(slot)
    expect(readdirSync(slot.profileDir)).toEqual([])
    expect(existsSync(slot.relayKeyFile)).toBe(false)
    expect(readFileSync(join(folder, 'slots/0/lock'), 'utf8')).toContain(String(process.pid))
  })
})
