import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { build } from 'vite'
import { createPromptModel } from '../../../../session/model/load.ts'
import type { TextAnswerMessage, TextSource } from '../../../../session/model/text-sandbox.ts'
import { createWorkerSandbox, type TextWorkerPort } from '../../../../session/model/worker-sandbox.ts'

// Each takes well under a second; the machine may be busy with other suites.
vi.setConfig({ testTimeout: 30_000 })

const messages = [{ role: 'user' as const, content: 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!' }]
const ENDLESS_TEMPLATE = '{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}'
/** Backtracks for longer than the universe has been there on the prompt above. */
const ENDLESS_PATTERN = '^(a+)+$'

let folder = ''
let entry = ''

/** The product's worker body, in a real thread: what the page and Node do with it. */
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'text-worker-'))
  const program = `
    import { parentPort } from 'node:worker_threads'
    import { createTextHandler } from ${JSON.stringify(join(process.cwd(), 'session/model/text-worker.ts'))}
    const handle = createTextHandler()
    parentPort.on('message', (message) => parentPort.postMessage(handle(message)))`
  await writeFile(join(folder, 'entry.mjs'), program)
  await build({
    configFile: false,
    logLevel: 'silent',
    ssr: { noExternal: true },
    build: {
      ssr: join(folder, 'entry.mjs'),
      outDir: join(folder, 'dist'),
      minify: false,
      rollupOptions: { output: { entryFileNames: 'worker.mjs' } },
    },
  })
  entry = join(folder, 'dist', 'worker.mjs')
}, 30_000)
afterAll(() => rm(folder, { recursive: true, force: true }))

function counting(): { spawn: () => TextWorkerPort; started: () => number; alive: () => number } {
  let started = 0
  let alive = 0
  return {
    started: () => started,
    alive: () => alive,
    spawn: () => {
      const worker = new Worker(entry)
      started += 1
      alive += 1
      worker.on('exit', () => (alive -= 1))
      return {
        post: (message) => worker.postMessage(message),
        onMessage: (listener) => void worker.on('message', (message: TextAnswerMessage) => listener(message)),
        onError: (listener) => void worker.on('error', listener),
        terminate: () => void worker.terminate(),
      }
    },
  }
}

async function source(change: { chatTemplate?: string; pattern?: string }): Promise<TextSource> {
  const read = async (name: string): Promise<Record<string, unknown>> =>
    JSON.parse(await readFile(`models/tinytales/${name}`, 'utf8')) as Record<string, unknown>
  const tokenizerJson = await read('tokenizer.json')
  if (change.pattern !== undefined) {
    const split = { type: 'Split', pattern: { Regex: change.pattern }, behavior: 'Isolated', invert: false }
    const byteLevel = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: false }
    tokenizerJson['pre_tokenizer'] = { type: 'Sequence', pretokenizers: [split, byteLevel] }
  }
  return {
    tokenizerJson,
    tokenizerConfig: await read('tokenizer_config.json'),
    chatTemplate: change.chatTemplate ?? null,
  }
}

describe('a worker that is ended when a call takes too long', () => {
  test('answers, one call after another', async () => {
    const workers = counting()
    const sandbox = createWorkerSandbox(workers.spawn)
    const model = await createPromptModel(
      {
        config: JSON.parse(await readFile('models/tinytales/config.json', 'utf8')) as unknown,
        generationConfig: null,
        ...(await source({})),
      },
      { repo: 'a', revision: 'b', digest: 'c', blocks: 8 },
      sandbox,
    )
    const [a, b] = await Promise.all([model.tokenizer!.encode('Hello', false), model.tokenizer!.encode('Hello', true)])
    expect(b).toEqual([0, ...a])
    expect(await model.tokenizer!.applyChatTemplate(messages)).toContain(messages[0]!.content)
    model.tokenizer!.dispose()
    await expect(model.tokenizer!.encode('Hello', false)).rejects.toMatchObject({ code: 'CANCELLED' })
    expect(workers.started()).toBe(1)
  })

  test.each([
    ['template', { chatTemplate: ENDLESS_TEMPLATE }, 'BAD_TEMPLATE'],
    ['pattern', { pattern: ENDLESS_PATTERN, chatTemplate: 'fine' }, 'BAD_TOKENIZER'],
  ])('a hostile %s is stopped, and the next call works on a new worker', async (what, change, code) => {
    const workers = counting()
    const sandbox = createWorkerSandbox(workers.spawn, { callMs: 300 })
    await sandbox.call('load', await source(change))
    const hostile =
      what === 'template'
        ? sandbox.call('render', { messages })
        : sandbox.call('encode', { text: messages[0]!.content, addSpecialTokens: false })
    const next =
      what === 'template'
        ? sandbox.call('encode', { text: 'Hello', addSpecialTokens: false })
        : sandbox.call('render', { messages })
    await expect(hostile).rejects.toMatchObject({ code, message: expect.stringContaining('300 ms') as string })
    expect((await next).length).toBeGreaterThan(0)
    expect(workers.started()).toBe(2)
    sandbox.terminate()
  })

  test('a worker that cannot start is an error with its reason', async () => {
    const sandbox = createWorkerSandbox(() => {
      const worker = new Worker("throw new Error('no such file')", { eval: true })
      return {
        post: (message) => worker.postMessage(message),
        onMessage: (listener) => void worker.on('message', listener),
        onError: (listener) => void worker.on('error', listener),
        terminate: () => void worker.terminate(),
      }
    })
    await expect(sandbox.call('load', await source({}))).rejects.toMatchObject({
      code: 'BAD_TOKENIZER',
      message: expect.stringContaining('no such file') as string,
    })
  })
})
