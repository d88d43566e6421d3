import { expect, test } from 'vitest'
import type { SwarmError } from '../../../../swarm/errors.ts'
import { openWeightCache } from '../../../../web/weights/opfs-cache.ts'
import { asRoot, FakeFolder } from '../../../support/fake-opfs.ts'

const model = { repo: 'owner/name', revision: 'a'.repeat(40) }
const bytes = Uint8Array.from({ length: 1000 }, (_, i) => i & 0xff)

async function open(folder: FakeFolder, warnings: SwarmError[] = []) {
  const cache = await openWeightCache({ root: asRoot(folder), onWarning: (warning) => warnings.push(warning) })
  if (cache === null) throw new Error('no cache')
  return cache
}

test('what is written is listed and read, aligned for any element type', async () => {
  const cache = await open(new FakeFolder())
  expect(await cache.read(model, 'x.safetensors@0-1000')).toBeNull()
  await cache.write(model, 'x.safetensors@0-1000', bytes)
  expect([...(await cache.list(model))]).toEqual(['x.safetensors@0-1000'])
  const read = await cache.read(model, 'x.safetensors@0-1000')
  expect(read).toEqual(bytes)
  expect((read?.byteOffset ?? 1) % 8).toBe(0)
})

test('models and revisions are apart', async () => {
  const cache = await open(new FakeFolder())
  await cache.write(model, 'x', bytes)
  expect(await cache.read({ ...model, revision: 'b'.repeat(40) }, 'x')).toBeNull()
  expect((await cache.list({ ...model, repo: 'other/name' })).size).toBe(0)
})

test('a damaged entry reads as missing and is removed', async () => {
  const folder = new FakeFolder()
  const cache = await open(folder)
  await cache.write(model, 'x', bytes)
  const files = [...(folder.folders.get('weights-v1')?.folders.values() ?? [])][0]?.files
  const stored = files?.get('x')?.slice() ?? new Uint8Array(0)
  stored[500] = (stored[500] ?? 0) ^ 1
  files?.set('x', stored)
  expect(await cache.read(model, 'x')).toBeNull()
  expect((await cache.list(model)).size).toBe(0)
})

/** The folder of the one model that a fake has. */
function modelFolder(folder: FakeFolder): FakeFolder {
  const [found] = [...(folder.folders.get('weights-v1')?.folders.values() ?? [])]
  if (found === undefined) throw new Error('nothing was written')
  return found
}

test('an entry that another tab has created and not filled yet is left to it', async () => {
  const folder = new FakeFolder()
  const cache = await open(folder)
  await cache.write(model, 'x', bytes)
  modelFolder(folder).files.set('y', new Uint8Array(0))
  expect(await cache.read(model, 'y')).toBeNull()
  expect([...(await cache.list(model))]).toEqual(['x', 'y'])
})

test.each(['writable', 'exclusive'] as const)(
  'a file that another tab holds (%s handles): waited for, and left to that tab after a while, without a warning',
  async (handles) => {
    const warnings: SwarmError[] = []
    const folder = new FakeFolder({ left: Infinity }, handles)
    const cache = await open(folder, warnings)
    await cache.write(model, 'x', bytes)
    modelFolder(folder).held.set('y', 2).set('z', Infinity)
    await cache.write(model, 'y', bytes)
    expect(await cache.read(model, 'y')).toEqual(bytes)
    await cache.write(model, 'z', bytes)
    expect(await cache.read(model, 'z')).toBeNull()
    await cache.write(model, 'after', bytes)
    expect(await cache.read(model, 'after')).toEqual(bytes)
    expect(warnings).toEqual([])
  },
)

test('full storage: one warning, nothing half kept, earlier entries stay', async () => {
  const warnings: SwarmError[] = []
  const cache = await open(new FakeFolder({ left: 1500 }), warnings)
  await cache.write(model, 'x', bytes)
  await cache.write(model, 'y', bytes)
  await cache.write(model, 'z', new Uint8Array(1))
  expect(warnings).toHaveLength(1)
  expect([...(await cache.list(model))]).toEqual(['x'])
  expect(await cache.read(model, 'x')).toEqual(bytes)
})

test('an engine with exclusive handles only', async () => {
  const cache = await open(new FakeFolder({ left: Infinity }, 'exclusive'))
  await cache.write(model, 'x', bytes)
  await cache.write(model, 'x', bytes.subarray(0, 10))
  expect(await cache.read(model, 'x')).toEqual(bytes.subarray(0, 10))
})
