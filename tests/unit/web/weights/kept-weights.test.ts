/** What is kept of each model, who may delete it, and what is said of a deletion that stops half way. */
import { expect, test } from 'vitest'
import { KeptWeights } from '../../../../web/weights/kept-weights.ts'
import { openWeightCache } from '../../../../web/weights/opfs-cache.ts'
import { asLocks, FakeLocks } from '../../../support/fake-locks.ts'
import { asRoot, FakeFolder } from '../../../support/fake-opfs.ts'

const small = { repo: 'tinytales', revision: 'a'.repeat(40) }
const large = { repo: 'owner/a-name', revision: 'b'.repeat(40) }
const never = new AbortController().signal

async function kept() {
  const root = new FakeFolder()
  const locks = new FakeLocks()
  const cache = await openWeightCache({
    root: asRoot(root),
    onWarning: (warning) => expect.unreachable(warning.message),
  })
  await cache?.write(small, 'x', new Uint8Array(10))
  await cache?.write(large, 'x', new Uint8Array(1000))
  await cache?.write(large, 'y', new Uint8Array(500))
  const tab = (): KeptWeights => new KeptWeights({ root: asRoot(root), locks: asLocks(locks) })
  const folderOf = (repo: string): FakeFolder | undefined =>
    [...(root.folders.get('weights-v1')?.folders ?? [])].find(([name]) => name.startsWith(repo))?.[1]
  const bytesOf = (repo: string): number =>
    [...(folderOf(repo)?.files.values() ?? [])].reduce((sum, file) => sum + file.length, 0)
  return { tab, folderOf, bytesOf }
}

test('each model with the bytes that its files really take, the largest first', async () => {
  const { tab, bytesOf } = await kept()
  expect(await tab().list()).toEqual([
    { ...large, bytes: bytesOf('owner--a-name'), inUse: false },
    { ...small, bytes: bytesOf('tinytales'), inUse: false },
  ])
  expect(bytesOf('owner--a-name')).toBeGreaterThanOrEqual(1500)
})

test('a browser that has kept nothing yet has an empty list, and nothing to delete', async () => {
  const empty = new KeptWeights({ root: asRoot(new FakeFolder()), locks: asLocks(new FakeLocks()) })
  expect(await empty.list()).toEqual([])
  expect(await empty.delete(small)).toEqual({ outcome: 'deleted', freedBytes: 0 })
})

test('deleting one model leaves the others', async () => {
  const { tab, bytesOf } = await kept()
  const freedBytes = bytesOf('owner--a-name')
  expect(await tab().delete(large)).toEqual({ outcome: 'deleted', freedBytes })
  expect((await tab().list()).map(({ repo }) => repo)).toEqual(['tinytales'])
})

test('what a tab uses is refused to all tabs until the last one lets go', async () => {
  const { tab, bytesOf } = await kept()
  const before = bytesOf('owner--a-name')
  const first = await tab().hold(large, never)
  const second = await tab().hold(large, never)
  expect((await tab().list()).map(({ inUse }) => inUse)).toEqual([true, false])
  await first()
  expect(await tab().delete(large)).toEqual({ outcome: 'in-use' })
  expect(bytesOf('owner--a-name')).toBe(before)
  await second()
  expect((await tab().list()).map(({ inUse }) => inUse)).toEqual([false, false])
  expect(await tab().delete(large)).toMatchObject({ outcome: 'deleted' })
})

test('a tab that wants to use what is being deleted waits, and can give up waiting', async () => {
  const { tab } = await kept()
  const stop = new AbortController()
  const deleting = tab().delete(large)
  const waiting = tab().hold(large, stop.signal)
  stop.abort(new Error('stopped'))
  await expect(waiting).rejects.toThrow('stopped')
  await deleting
  await (
    await tab().hold(large, never)
  )()
})

test('a file that cannot be deleted: the rest goes, and what is left is told and still listed', async () => {
  const { tab, folderOf, bytesOf } = await kept()
  const before = bytesOf('owner--a-name')
  folderOf('owner--a-name')?.stuck.add('y')
  const deletion = await tab().delete(large)
  const leftBytes = bytesOf('owner--a-name')
  expect(leftBytes).toBeGreaterThanOrEqual(500)
  expect(deletion).toEqual({
    outcome: 'partly',
    freedBytes: before - leftBytes,
    leftBytes,
    reason: expect.stringContaining('y is open') as string,
  })
  expect((await tab().list())[0]).toMatchObject({ repo: 'owner/a-name', bytes: leftBytes })
})
