import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { loadPromptFiles } from '../../../hub/prompt-files.ts'
import type { RetryNotice } from '../../../hub/retry.ts'
import { openModel } from '../../../hub/source.ts'
import type { ModelSource, OpenModelOptions } from '../../../hub/source.ts'
import { SwarmError } from '../../../swarm/errors.ts'
import type { Fault, FaultRule, HubStandIn, HubStandInOptions } from '../../support/hub-stand-in.ts'
import { startHubStandIn } from '../../support/hub-stand-in.ts'

const tinytales = fileURLToPath(new URL('../../../models/tinytales/', import.meta.url))
const shard = 'model-00001-of-00002.safetensors'
const shardBytes = readFileSync(join(tinytales, shard))
const quick = { baseDelayMs: 1, maxDelayMs: 2, stallMs: 200 }

let hub: HubStandIn
let folder: string | null = null

async function start(options: Partial<HubStandInOptions> = {}): Promise<void> {
  await hub?.close()
  hub = await startHubStandIn({ models: { 'tabs/tinytales': tinytales, single: tinytales }, ...options })
}

beforeEach(async () => {
  await start()
})

afterEach(async () => {
  // Every test here is also a test of this.
  expect(hub.tokenLeaks()).toEqual([])
  await hub.close()
  if (folder !== null) rmSync(folder, { recursive: true })
  folder = null
})

function copyOfModel(): string {
  folder = mkdtempSync(join(tmpdir(), 'hub-test-'))
  cpSync(tinytales, folder, { recursive: true })
  return folder
}

async function open(options: Partial<OpenModelOptions> = {}): Promise<ModelSource> {
  return await openModel({ repo: 'tabs/tinytales', hubUrl: hub.url, retry: quick, ...options })
}

async function readAll(stream: ReadableStream<Uint8Array>): Promise<Buffer> {
  const parts: Uint8Array[] = []
  for await (const part of stream) parts.push(part)
  return Buffer.concat(parts)
}

async function errorOf(action: () => Promise<unknown>): Promise<SwarmError> {
  try {
    await action()
  } catch (error) {
    if (error instanceof SwarmError) return error
    throw error
  }
  throw new Error('nothing was thrown')
}

function fail(at: FaultRule['at'], fault: Fault, times?: number): void {
  hub.faults.push({ at, fault, ...(times === undefined ? {} : { times }) })
}

describe.each(['plain', 'xet'] as const)('a hub with %s storage', (storage) => {
  beforeEach(() => start({ storage }))

  test('pins the revision to a commit, lists files, reads text and exact ranges', async () => {
    const source = await open({ token: 'hf_secret' })
    expect(source.revision).toMatch(/^[0-9a-f]{40}$/)
    const files = await source.files()
    expect(files.find((file) => file.path === shard)?.size).toBe(shardBytes.length)
    expect(await source.json('config.json')).toMatchObject({ hidden_size: 192 })
    expect(await source.json('nothing.json')).toBeNull()
    const part = await readAll(await source.range(shard, 1000, 200_000))
    expect(part.equals(shardBytes.subarray(1000, 200_000))).toBe(true)
    expect(hub.bytesOf(/safetensors$/)).toBeGreaterThanOrEqual(199_000)
    expect(hub.requests.filter((request) => request.origin === 'storage').map((request) => request.bytes)).toEqual([
      199_000,
    ])
    expect(hub.requests.some((request) => request.authorization === 'Bearer hf_secret')).toBe(true)
  })
})

test('the last byte, one byte and no byte', async () => {
  const source = await open()
  const size = shardBytes.length
  expect((await readAll(await source.range(shard, size - 1, size))).equals(shardBytes.subarray(size - 1))).toBe(true)
  expect(await readAll(await source.range(shard, 5, 5))).toHaveLength(0)
})

test('counts the bytes it received', async () => {
  const source = await open()
  const before = source.bytesFetched
  await readAll(await source.range(shard, 0, 12_345))
  expect(source.bytesFetched - before).toBe(12_345)
})

test('a listing of several pages is read to its end', async () => {
  await start({ pageSize: 2 })
  expect((await (await open()).files()).map((file) => file.path)).toEqual([
    'config.json',
    'generation_config.json',
    shard,
    'model-00002-of-00002.safetensors',
    'model.safetensors.index.json',
    'tokenizer.json',
    'tokenizer_config.json',
  ])
})

test('a model without an owner, a base path and a trailing slash', async () => {
  expect((await open({ repo: 'single', hubUrl: `${hub.url}/` })).repo).toBe('single')
})

test('the token is not sent to another hub than its own', async () => {
  const source = await open({ token: 'hf_secret', tokenHubUrl: 'https://huggingface.co' })
  await source.json('config.json')
  expect(hub.requests.every((request) => request.authorization === null)).toBe(true)
})

test('a commit that moved on is still the one that was pinned', async () => {
  const changed = copyOfModel()
  const source = await open()
  writeFileSync(join(changed, 'config.json'), '{"hidden_size":1}')
  hub.repo('tabs/tinytales').moveBranch('main', changed)
  expect(await source.json('config.json')).toMatchObject({ hidden_size: 192 })
  expect(await (await open()).json('config.json')).toMatchObject({ hidden_size: 1 })
})

test('prompt files: what the model has, null for what it has not, a separate template merged in', async () => {
  const files = await loadPromptFiles(await open())
  expect(files.config).toMatchObject({ model_type: 'llama' })
  expect(files.tokenizerJson).toMatchObject({ model: {} })
  expect(files.tokenizerConfig).toMatchObject({ eos_token: '<|end|>' })
  const bare = copyOfModel()
  for (const name of ['tokenizer.json', 'tokenizer_config.json', 'generation_config.json']) rmSync(join(bare, name))
  writeFileSync(join(bare, 'chat_template.jinja'), '{{ messages }}')
  hub.repo('single').moveBranch('main', bare)
  expect(await loadPromptFiles(await open({ repo: 'single' }))).toMatchObject({
    tokenizerJson: null,
    generationConfig: null,
    tokenizerConfig: { chat_template: '{{ messages }}' },
  })
})

describe('each refusal has its own code, sentence and action', () => {
  const gate = { gated: { 'tabs/tinytales': { tokens: ['hf_member'] } } }

  test('no such model, not signed in', async () => {
    const error = await errorOf(() => open({ repo: 'tabs/nothing' }))
    expect(error.code).toBe('HUB_NOT_FOUND')
    expect(error.message).toMatch(/has no model tabs\/nothing \(401\), or it is private and you are not signed in/)
    expect(error.action).toMatch(/Check the name/)
  })

  test('no such model, signed in', async () => {
    const error = await errorOf(() => open({ repo: 'tabs/nothing', token: 'hf_x' }))
    expect(error.message).toMatch(/\(404\), or the token may not read it/)
  })

  test('no such revision', async () => {
    const error = await errorOf(() => open({ revision: 'v9' }))
    expect(error).toMatchObject({ code: 'HUB_NOT_FOUND', message: expect.stringMatching(/no revision "v9"/) as string })
  })

  test('a token that is not known', async () => {
    await start({ knownTokens: ['hf_good'] })
    const error = await errorOf(() => open({ token: 'hf_bad' }))
    expect(error).toMatchObject({
      code: 'HUB_UNAUTHORIZED',
      message: expect.stringMatching(/did not accept/) as string,
    })
    expect(JSON.stringify(error) + String(error.stack)).not.toContain('hf_bad')
  })

  test('gated, not signed in: names the page of the licence', async () => {
    await start(gate)
    const source = await open()
    const error = await errorOf(() => source.json('config.json'))
    expect(error.code).toBe('HUB_GATED')
    expect(error.message).toMatch(/gated .*\(401\): you are not signed in/)
    expect(error.action).toContain(`${hub.url}/tabs/tinytales`)
    const range = await errorOf(async () => readAll(await source.range(shard, 0, 8)))
    expect(range.code).toBe('HUB_GATED')
  })

  test('gated, signed in without access', async () => {
    await start(gate)
    const error = await errorOf(async () => (await open({ token: 'hf_other' })).json('config.json'))
    expect(error).toMatchObject({ code: 'HUB_GATED', message: expect.stringMatching(/\(403\)/) as string })
  })

  test('gated, and the header that says so is hidden: the body is read', async () => {
    fail('resolve', {
      kind: 'status',
      status: 403,
      json: { error: 'Access to model a/b is restricted and you are not in the authorized list.' },
    })
    expect((await errorOf(async () => (await open()).json('config.json'))).code).toBe('HUB_GATED')
  })

  test('gated, with access', async () => {
    await start(gate)
    const source = await open({ token: 'hf_member' })
    expect(await readAll(await source.range(shard, 0, 8))).toHaveLength(8)
  })

  test('forbidden for another reason', async () => {
    fail('resolve', { kind: 'status', status: 403, text: '<html>' })
    const error = await errorOf(async () => (await open()).json('config.json'))
    expect(error).toMatchObject({
      code: 'HUB_UNAUTHORIZED',
      message: expect.stringMatching(/does not allow config.json/) as string,
    })
  })

  test('a file that is missing', async () => {
    const source = await open()
    const error = await errorOf(() => source.range('model.safetensors', 0, 8))
    expect(error).toMatchObject({
      code: 'HUB_NOT_FOUND',
      message: expect.stringMatching(/no model.safetensors in/) as string,
    })
  })

  test('416', async () => {
    fail('storage', { kind: 'status', status: 416 })
    const error = await errorOf(async () => readAll(await (await open()).range(shard, 0, 8)))
    expect(error).toMatchObject({ code: 'HUB_BAD_RANGE', message: expect.stringMatching(/\(416\)/) as string })
  })

  test('429 for ever, and a Retry-After that is too long to wait for', async () => {
    fail('api', { kind: 'status', status: 429 })
    expect((await errorOf(() => open())).code).toBe('HUB_RATE_LIMITED')
    const asked = hub.requests.length
    expect(asked).toBe(5)
    hub.faults.length = 0
    fail('api', { kind: 'status', status: 429, headers: { 'Retry-After': '3600' } })
    const error = await errorOf(() => open())
    expect(error.action).toMatch(/in 3600 seconds/)
    expect(hub.requests.length).toBe(asked + 1)
  })

  test('5xx for ever', async () => {
    fail('api', { kind: 'status', status: 503, text: 'busy' })
    const error = await errorOf(() => open())
    expect(error).toMatchObject({
      code: 'HUB_ERROR',
      retryable: true,
      message: expect.stringMatching(/answered 503/) as string,
    })
  })

  test('nobody there', async () => {
    const error = await errorOf(() => open({ hubUrl: 'http://127.0.0.1:9' }))
    expect(error).toMatchObject({
      code: 'HUB_UNREACHABLE',
      message: expect.stringMatching(/127.0.0.1:9 could not be reached/) as string,
    })
  })

  test('something that is not a hub', async () => {
    fail('api', { kind: 'status', status: 200, text: '<html>welcome</html>' })
    expect((await errorOf(() => open())).message).toMatch(/does not answer as a Hugging Face hub/)
    hub.faults.length = 0
    fail('api', { kind: 'status', status: 200, json: { id: 'x' } })
    expect((await errorOf(() => open())).message).toMatch(/names no commit/)
  })

  test('200 in place of 206 is never cut to size', async () => {
    fail('storage', { kind: 'whole' })
    const source = await open()
    const error = await errorOf(async () => readAll(await source.range(shard, 0, 8)))
    expect(error).toMatchObject({ code: 'HUB_BAD_RANGE', message: expect.stringMatching(/answered 200/) as string })
    expect(source.bytesFetched).toBeLessThan(10_000)
  })

  test.each([
    [{ kind: 'shifted' }, /sent bytes 99-/],
    [{ kind: 'no-content-range' }, /without saying which part/],
    [{ kind: 'header', name: 'Content-Range', value: 'bytes 100-199/7' }, /it has 7 bytes/],
    [{ kind: 'header', name: 'Content-Range', value: 'bytes 100-200/*' }, /sent bytes 100-200/],
    [{ kind: 'header', name: 'Content-Encoding', value: 'br' }, /br encoding/],
  ] as [Fault, RegExp][])('206 that is not the part asked for: %j', async (fault, reason) => {
    fail('storage', fault)
    const error = await errorOf(async () => readAll(await (await open()).range(shard, 100, 200)))
    expect(['HUB_BAD_RANGE', 'HUB_CHANGED']).toContain(error.code)
    expect(error.message).toMatch(reason)
  })

  test('history rewritten: the pinned commit is gone', async () => {
    const source = await open()
    hub.repo('tabs/tinytales').forget(source.revision)
    expect(await errorOf(() => source.json('config.json'))).toMatchObject({ code: 'HUB_CHANGED' })
  })

  test('an answer for another commit', async () => {
    const source = await open()
    fail('resolve', { kind: 'header', name: 'X-Repo-Commit', value: 'f'.repeat(40) })
    expect(await errorOf(() => source.json('config.json'))).toMatchObject({ code: 'HUB_CHANGED' })
  })

  test('a file whose content tag is another one than before', async () => {
    const source = await open()
    await readAll(await source.range(shard, 0, 8))
    fail('storage', { kind: 'header', name: 'ETag', value: '"other"' })
    expect(await errorOf(async () => readAll(await source.range(shard, 8, 16)))).toMatchObject({ code: 'HUB_CHANGED' })
  })

  test.each([['../x'], ['a/b/c'], [''], ['a b'], ['https://x/y'], ['a/..']])(
    'a name that is none: %j',
    async (repo) => {
      expect((await errorOf(() => open({ repo }))).code).toBe('UNKNOWN_MODEL')
      expect(hub.requests).toHaveLength(0)
    },
  )

  test.each([['ftp://x'], ['nowhere'], ['http://user:pass@x'], ['http://x/?q']])(
    'a hub URL that is none: %j',
    async (hubUrl) => {
      expect((await errorOf(() => open({ hubUrl }))).code).toBe('BAD_OPTION')
    },
  )

  test('a revision that is none', async () => {
    expect((await errorOf(() => open({ revision: '../../x' }))).code).toBe('BAD_OPTION')
  })

  test('a token that cannot be one', async () => {
    expect((await errorOf(() => open({ token: 'hf_a\r\nX: y' }))).code).toBe('HUB_UNAUTHORIZED')
  })

  test('files that are too long or not what their name says', async () => {
    const source = await open()
    expect(await errorOf(() => source.text('tokenizer.json', 100))).toMatchObject({ code: 'BAD_CONFIG' })
    expect(await errorOf(() => source.json(shard))).toMatchObject({ code: 'BAD_CONFIG' })
  })
})

describe('trouble that passes', () => {
  test.each([
    ['429', { kind: 'status', status: 429, headers: { 'Retry-After': '0' } }],
    ['503', { kind: 'status', status: 503 }],
    ['a dropped connection', { kind: 'drop' }],
  ] as [string, Fault][])('%s twice, then an answer', async (_what, fault) => {
    const notices: RetryNotice[] = []
    fail('api', fault, 2)
    const source = await open({ retry: { ...quick, onRetry: (notice) => notices.push(notice) } })
    fail('storage', fault, 2)
    expect(await readAll(await source.range(shard, 0, 8))).toHaveLength(8)
    expect(notices.length).toBe(4)
  })

  test('Retry-After is waited for', async () => {
    fail('api', { kind: 'status', status: 429, headers: { 'Retry-After': '1' } }, 1)
    const notices: RetryNotice[] = []
    await open({ retry: { ...quick, onRetry: (notice) => notices.push(notice) } })
    expect(notices.map((notice) => notice.waitMs)).toEqual([1000])
  })

  test('a cut connection is taken up at the byte where it broke', async () => {
    const source = await open()
    fail('storage', { kind: 'cut', afterBytes: 70_000 }, 3)
    const bytes = await readAll(await source.range(shard, 1000, 501_000))
    expect(bytes.equals(shardBytes.subarray(1000, 501_000))).toBe(true)
    const asked = hub.requests.filter((request) => request.origin === 'storage').map((request) => request.range)
    expect(asked).toHaveLength(4)
    const starts = asked.map((range) => Number(/bytes=(\d+)-/.exec(range ?? '')?.[1]))
    expect(starts).toEqual(starts.toSorted((a, b) => a - b))
    expect(source.bytesFetched).toBeLessThan(520_000)
  })

  test('a connection that is cut again and again is given up, and says where', async () => {
    const source = await open()
    fail('storage', { kind: 'cut', afterBytes: 10 })
    const error = await errorOf(async () => readAll(await source.range(shard, 0, 1000)))
    expect(error).toMatchObject({
      code: 'HUB_CUT',
      retryable: true,
      message: expect.stringMatching(/at byte 50 of 1000/) as string,
    })
  })

  test('a connection that falls silent counts as cut', async () => {
    const source = await open()
    fail('storage', { kind: 'stall', afterBytes: 100 }, 1)
    const bytes = await readAll(await source.range(shard, 0, 1000))
    expect(bytes.equals(shardBytes.subarray(0, 1000))).toBe(true)
  })

  test('a small file that is cut is read again from its beginning', async () => {
    const source = await open()
    fail('resolve', { kind: 'cut', afterBytes: 10 }, 2)
    expect(await source.json('tokenizer_config.json')).toMatchObject({ eos_token: '<|end|>' })
    hub.faults.length = 0
    fail('resolve', { kind: 'cut', afterBytes: 10 })
    expect((await errorOf(() => source.json('tokenizer_config.json'))).code).toBe('HUB_CUT')
  })

  test('content that changes between two halves of a range is not glued together', async () => {
    const source = await open()
    fail('storage', { kind: 'cut', afterBytes: 70_000 }, 1)
    fail('storage', { kind: 'header', name: 'ETag', value: '"other"' }, 1)
    expect((await errorOf(async () => readAll(await source.range(shard, 0, 500_000)))).code).toBe('HUB_CHANGED')
  })

  test('a failed listing is asked for again', async () => {
    const source = await open()
    fail('api', { kind: 'status', status: 418 }, 1)
    expect((await errorOf(() => source.files())).code).toBe('HUB_ERROR')
    expect(await source.files()).toHaveLength(7)
  })
})

describe('cancelling', () => {
  test('a listing that one caller gives up is still there for another', async () => {
    const aborter = new AbortController()
    const source = await open()
    const mine = errorOf(() => source.files(aborter.signal))
    const other = source.files()
    aborter.abort()
    expect((await mine).code).toBe('CANCELLED')
    expect(await other).toHaveLength(7)
  })

  test('while waiting to try again', async () => {
    const aborter = new AbortController()
    fail('api', { kind: 'status', status: 503 })
    const opening = errorOf(() =>
      open({
        signal: aborter.signal,
        retry: { ...quick, baseDelayMs: 60_000, maxDelayMs: 60_000, onRetry: () => aborter.abort() },
      }),
    )
    expect((await opening).code).toBe('CANCELLED')
  })

  test('in the middle of a range: the connection is closed', async () => {
    const aborter = new AbortController()
    const source = await open()
    fail('storage', { kind: 'stall', afterBytes: 1000 })
    const reader = (await source.range(shard, 0, 100_000, aborter.signal)).getReader()
    await reader.read()
    aborter.abort()
    expect((await errorOf(() => reader.read())).code).toBe('CANCELLED')
  })
})
