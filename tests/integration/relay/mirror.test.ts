/** The model mirror as the hub's own client sees it, and what it must not give away. */
import { createHash } from 'node:crypto'
import { cp, mkdir, readFile, rm, symlink, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import {
  downloadFile,
  fileDownloadInfo,
  listFiles,
  modelInfo,
  parseSafetensorsMetadata,
  pathsInfo,
} from '@huggingface/hub'
import { expect, it } from 'vitest'
import { relayForTest, temporaryFolder, type TestRelay } from './support.ts'

const FIXTURE = join(import.meta.dirname, '../../fixtures/models/mha-f16')

async function modelsDir(): Promise<string> {
  const dir = await temporaryFolder()
  await cp(FIXTURE, join(dir, 'tiny'), { recursive: true })
  await cp(FIXTURE, join(dir, 'meta-llama', 'Llama-3.1-8B'), { recursive: true })
  await mkdir(join(dir, 'no-model'))
  await writeFile(join(dir, 'no-model', 'notes.txt'), 'not a model')
  return dir
}

function hub(relay: TestRelay): string {
  return `http://127.0.0.1:${relay.port}/hub`
}

async function commitOf(relay: TestRelay, repo: string): Promise<string> {
  const info = (await (await fetch(`${hub(relay)}/api/models/${repo}`)).json()) as { sha: string }
  return info.sha
}

it('is read by @huggingface/hub with its address as hubUrl', async () => {
  const dir = await modelsDir()
  await cp(join(FIXTURE, '../../../../models/tinytales'), join(dir, 'shards'), { recursive: true })
  const relay = await relayForTest({ modelsDir: [dir] })
  const hubUrl = hub(relay)
  for (const repo of ['tiny', 'meta-llama/Llama-3.1-8B']) {
    const info = await modelInfo({ name: repo, hubUrl, additionalFields: ['sha'] })
    expect(info.name).toBe(repo)
    expect(info.sha).toMatch(/^[0-9a-f]{40}$/u)
    const names: string[] = []
    for await (const file of listFiles({ repo, hubUrl, recursive: true, revision: info.sha })) names.push(file.path)
    expect(names).toContain('model.safetensors')
    const weights = await readFile(join(FIXTURE, 'model.safetensors'))
    const [entry] = await pathsInfo({ repo, hubUrl, paths: ['model.safetensors', 'absent.json'], expand: true })
    expect(entry?.lfs?.oid).toBe(createHash('sha256').update(weights).digest('hex'))
    expect(entry?.lastCommit?.id).toBe(info.sha)
    const download = await fileDownloadInfo({ repo, hubUrl, path: 'model.safetensors', revision: info.sha })
    expect(download?.size).toBe(weights.length)
    expect(download?.etag).toBe(`"${entry?.lfs?.oid}"`)
    const blob = await downloadFile({ repo, hubUrl, path: 'model.safetensors', revision: info.sha })
    expect(Buffer.from(await (blob?.slice(100, 300) ?? new Blob()).arrayBuffer())).toEqual(weights.subarray(100, 300))
    const metadata = await parseSafetensorsMetadata({
      repo,
      hubUrl,
      revision: info.sha,
      computeParametersCount: true,
    })
    expect(metadata).toMatchObject({ sharded: false, header: { 'model.embed_tokens.weight': { dtype: 'F16' } } })
    expect(metadata.parameterCount.F16).toBeGreaterThan(1_000)
    expect(await fileDownloadInfo({ repo, hubUrl, path: 'absent.json' })).toBeNull()
    await expect(modelInfo({ name: repo, hubUrl, revision: 'f'.repeat(40) })).rejects.toMatchObject({ statusCode: 404 })
  }
  // A checkpoint of several files is read the same way.
  const sharded = await parseSafetensorsMetadata({ repo: 'shards', hubUrl })
  expect(sharded.sharded && Object.keys(sharded.headers)).toEqual([
    'model-00001-of-00002.safetensors',
    'model-00002-of-00002.safetensors',
  ])
  await expect(modelInfo({ name: 'nobody/nothing', hubUrl })).rejects.toMatchObject({ statusCode: 404 })
})

it('offers its models in /config.json, the default first', async () => {
  const relay = await relayForTest({ modelsDir: [await modelsDir()] }, { donor: { model: 'tiny' } })
  const { models } = await relay.appConfig()
  expect(models.map((model) => model.repo)).toEqual(['tiny', 'meta-llama/Llama-3.1-8B'])
  const config = JSON.parse(await readFile(join(FIXTURE, 'config.json'), 'utf8')) as { num_hidden_layers: number }
  const { length } = await readFile(join(FIXTURE, 'model.safetensors'))
  expect(models[0]).toEqual({
    repo: 'tiny',
    revision: 'main',
    hubUrl: '/hub',
    blocks: config.num_hidden_layers,
    sizeBytes: length,
  })
})

it('offers no folder that has no weights, or whose config says no blocks', async () => {
  const dir = await modelsDir()
  await rm(join(dir, 'tiny', 'model.safetensors'))
  await writeFile(join(dir, 'meta-llama', 'Llama-3.1-8B', 'config.json'), '{"num_hidden_layers": "many"}')
  const relay = await relayForTest({ modelsDir: [dir] })
  expect((await relay.appConfig()).models).toEqual([])
  expect(relay.lines.filter((line) => line.includes('mirrored but not offered'))).toHaveLength(2)
  expect((await fetch(`${hub(relay)}/tiny/resolve/main/config.json`)).status).toBe(200)
})

it('answers ranges and conditions with the hub’s headers', async () => {
  const relay = await relayForTest({ modelsDir: [await modelsDir()] })
  const url = `${hub(relay)}/tiny/resolve/main/model.safetensors`
  const weights = await readFile(join(FIXTURE, 'model.safetensors'))
  const size = weights.length
  const read = async (headers: Record<string, string>, method = 'GET') => {
    const res = await fetch(url, { headers, method })
    return { res, bytes: Buffer.from(await res.arrayBuffer()) }
  }
  const whole = await read({})
  expect(whole.res.status).toBe(200)
  expect(whole.bytes.equals(weights)).toBe(true)
  expect(whole.res.headers.get('accept-ranges')).toBe('bytes')
  expect(whole.res.headers.get('x-repo-commit')).toBe(await commitOf(relay, 'tiny'))
  expect(whole.res.headers.get('x-linked-size')).toBe(String(size))
  expect(whole.res.headers.get('x-linked-etag')).toBe(whole.res.headers.get('etag'))
  expect(whole.res.headers.get('access-control-allow-origin')).toBe('*')
  expect(whole.res.headers.get('access-control-expose-headers')).toContain('X-Repo-Commit')
  expect(whole.res.headers.get('cross-origin-resource-policy')).toBe('cross-origin')
  const cases: [range: string, status: number, begin: number, end: number][] = [
    ['bytes=0-0', 206, 0, 1],
    ['bytes=10-19', 206, 10, 20],
    [`bytes=${size - 5}-`, 206, size - 5, size],
    ['bytes=-7', 206, size - 7, size],
    [`bytes=10-${size + 100}`, 206, 10, size],
    ['bytes=9-3', 200, 0, size],
    ['bytes=0-1,5-6', 200, 0, size],
    ['lines=1-2', 200, 0, size],
  ]
  for (const [range, status, begin, end] of cases) {
    const { res, bytes } = await read({ range })
    expect(res.status, range).toBe(status)
    expect(bytes.equals(weights.subarray(begin, end)), range).toBe(true)
    if (status === 206) expect(res.headers.get('content-range')).toBe(`bytes ${begin}-${end - 1}/${size}`)
  }
  for (const range of [`bytes=${size}-`, 'bytes=-0', `bytes=${size + 5}-${size + 9}`]) {
    const { res } = await read({ range })
    expect(res.status, range).toBe(416)
    expect(res.headers.get('content-range')).toBe(`bytes */${size}`)
  }
  const etag = whole.res.headers.get('etag') ?? ''
  expect((await read({ 'if-none-match': etag })).res.status).toBe(304)
  expect((await read({ range: 'bytes=0-1', 'if-range': '"other"' })).res.status).toBe(200)
  expect((await read({ range: 'bytes=0-1', 'if-range': etag })).res.status).toBe(206)
  const head = await read({}, 'HEAD')
  expect([head.res.status, head.res.headers.get('content-length'), head.bytes.length]).toEqual([200, String(size), 0])
  const options = await read({ origin: 'http://other.example' }, 'OPTIONS')
  expect(options.res.status).toBe(204)
  expect(options.res.headers.get('access-control-allow-headers')).toContain('range')
  expect((await read({}, 'PUT')).res.status).toBe(405)
})

it('gives nothing outside of a model folder', async () => {
  const dir = await modelsDir()
  const outside = await temporaryFolder()
  await writeFile(join(outside, 'secret.txt'), 'TOP SECRET')
  await symlink(join(outside, 'secret.txt'), join(dir, 'tiny', 'leak.txt'))
  await symlink(outside, join(dir, 'tiny', 'leak'))
  await writeFile(join(dir, 'tiny', '.hidden'), 'hidden')
  await symlink(FIXTURE, join(dir, 'linked'))
  const relay = await relayForTest({ modelsDir: [dir] })
  const paths = [
    '/tiny/resolve/main/leak.txt',
    '/tiny/resolve/main/leak/secret.txt',
    '/tiny/resolve/main/.hidden',
    '/tiny/resolve/main/..%2f..%2fno-model%2fnotes.txt',
    '/tiny/resolve/main/%2e%2e/no-model/notes.txt',
    '/tiny/resolve/main/%00',
    '/tiny/resolve/main/%ff',
    '/no-model/resolve/main/notes.txt',
    '/..%2f..%2fetc/resolve/main/passwd',
    '/tiny/resolve/main/',
    '/tiny/resolve/main',
    '/tiny',
    '/',
  ]
  for (const path of paths) {
    const res = await fetch(hub(relay) + path)
    expect(res.status, path).toBe(404)
    expect(await res.text(), path).not.toContain('TOP SECRET')
  }
  // The operator may link a whole model folder.
  expect((await fetch(`${hub(relay)}/linked/resolve/main/config.json`)).status).toBe(200)
})

it('names a folder by its contents: the same everywhere, another one after a change', async () => {
  const [one, two] = [await modelsDir(), await modelsDir()]
  const first = await relayForTest({ modelsDir: [one] })
  const second = await relayForTest({ modelsDir: [two] })
  const commit = await commitOf(first, 'tiny')
  expect(await commitOf(second, 'tiny')).toBe(commit)
  expect(await commitOf(first, 'meta-llama/Llama-3.1-8B')).toBe(commit)
  const config = join(one, 'tiny', 'config.json')
  await writeFile(config, `${await readFile(config, 'utf8')}\n`)
  // Found out while a file is served, without waiting for the next listing.
  const stale = await fetch(`${hub(first)}/tiny/resolve/${commit}/config.json`)
  expect(stale.status).toBe(404)
  expect(stale.headers.get('x-error-code')).toBe('RevisionNotFound')
  expect(await commitOf(first, 'tiny')).not.toBe(commit)
})

it('does not read a model again that it has hashed before', async () => {
  const dir = await modelsDir()
  const dataDir = await temporaryFolder()
  const first = await relayForTest({ modelsDir: [dir], dataDir })
  const commit = await commitOf(first, 'tiny')
  await first.stop()
  const file = join(dir, 'tiny', 'model.safetensors')
  const cached = JSON.parse(await readFile(join(dataDir, 'model-hashes.json'), 'utf8')) as Record<
    string,
    { sha256: string }
  >
  expect(cached[file]?.sha256).toMatch(/^[0-9a-f]{64}$/u)
  // A wrong hash under the right size and time is believed: so it was not read again.
  await writeFile(
    join(dataDir, 'model-hashes.json'),
    JSON.stringify({ ...cached, [file]: { ...cached[file], sha256: '0'.repeat(64) } }),
  )
  const second = await relayForTest({ modelsDir: [dir], dataDir })
  expect(await commitOf(second, 'tiny')).not.toBe(commit)
  await second.stop()
  await utimes(file, new Date(), new Date())
  const third = await relayForTest({ modelsDir: [dir], dataDir })
  expect(await commitOf(third, 'tiny')).toBe(commit)
})

it('says so once when a models folder is not there', async () => {
  const dir = await modelsDir()
  await rm(dir, { recursive: true })
  const relay = await relayForTest({ modelsDir: [dir] })
  await relay.appConfig()
  await relay.appConfig()
  expect(relay.lines.filter((line) => line.includes('models folder does not exist'))).toHaveLength(1)
})
