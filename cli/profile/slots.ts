/**
 * Profile slots: a process that opens donor tabs takes one and keeps it until it ends, because two browsers cannot share
 * one profile. A slot holds the browser's profile (weight cache, tab identities) and the key of the process's relay.
 */
import { mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { SwarmError } from '../../swarm/errors.ts'
import { tryLock } from '../setup/lock.mjs'

export interface Slot {
  index: number
  /** Chromium's user data folder. */
  profileDir: string
  /** Key of the relay that this process runs, if it runs one. */
  relayKeyFile: string
  release(): void
}

/** More processes than this on one machine is a mistake in a loop, not a wish. */
const MAX_SLOTS = 1000

/** @throws SwarmError SLOT_TAKEN when `wanted` is in use by another process */
export function takeSlot(dataDir: string, wanted: number | undefined): Slot {
  if (wanted !== undefined) return takeNamed(dataDir, wanted)
  for (let index = 0; index < MAX_SLOTS; index += 1) {
    const slot = tryTake(dataDir, index)
    if ('release' in slot) return slot
  }
  throw new SwarmError('SLOT_TAKEN', `All ${MAX_SLOTS} profile slots in ${dataDir} are in use`, {
    action: 'Stop some of the running processes, or name another folder with --data-dir.',
  })
}

function takeNamed(dataDir: string, index: number): Slot {
  const slot = tryTake(dataDir, index)
  if ('release' in slot) return slot
  throw new SwarmError('SLOT_TAKEN', `Profile slot ${index} is in use by process ${slot.ownerPid}`, {
    action: 'Leave out --slot to take the first free one, or stop that process.',
    details: { slot: index, pid: slot.ownerPid },
  })
}

function tryTake(dataDir: string, index: number): Slot | { ownerPid: number } {
  const folder = join(dataDir, 'slots', String(index))
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  const taken = tryLock(join(folder, 'lock'))
  if ('owner' in taken) return { ownerPid: taken.owner.pid }
  const profileDir = join(folder, 'profile')
  mkdirSync(profileDir, { recursive: true })
  return { index, profileDir, relayKeyFile: join(folder, 'relay.key'), release: () => taken.lock.release() }
}

/** `--fresh`: caches and identities of a slot that this process holds. */
export function forget(slot: Slot): void {
  rmSync(slot.profileDir, { recursive: true, force: true, maxRetries: 3 })
  rmSync(slot.relayKeyFile, { force: true })
  mkdirSync(slot.profileDir, { recursive: true })
}
