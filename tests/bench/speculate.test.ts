/**
 * `npm run bench`: what guessing tokens ahead brings. Whole sessions over four hops, the real serving end and WebAssembly in one
 * process: no network, so a lap costs its arithmetic alone, which is the worst case for guesses. The clock is this process's time on
 * the processor, so that a busy machine does not show. Off, auto and fixed numbers in turns; texts that repeat and texts that do not.
 * Medians of tokens a second with least and most, against off of the same round.
 */
import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { ChatSession } from '../../session/generate.ts'
import { createInlineSandbox } from '../../session/model/inline-sandbox.ts'
import { createPromptModel } from '../../session/model/load.ts'
import { preparePrompt } from '../../session/prompt.ts'
import type { Speculate } from '../../session/speculate.ts'
import type { PromptModel } from '../../session/types.ts'
import type { WeightFormat } from '../../swarm/model/config.ts'
import { formatSpan, type Span } from '../../swarm/span.ts'
import type { SpanRunner } from '../../swarm/span-runner.ts'
import { compileKernels } from '../../web/wasm/kernels.ts'
import { createWasmSpanRunner } from '../../web/wasm/span-runner.ts'
import { WasmWeights } from '../../web/wasm/weights.ts'
import { readModel, type ReadFile } from '../reference/model-files.ts'
import { REPO_ROOT } from '../support/processes.ts'
import { makeSmolLm2, SMOLLM2, SMOLLM2_SOURCE } from '../support/smollm2.ts'
import { putTensors, spansBetween } from '../support/span-chain.ts'
import { FAKE_DIGEST } from '../unit/session/support/fake-swarm.ts'
import { collect, request } from '../unit/session/support/run.ts'
import { ServedSwarm } from '../unit/session/support/served-swarm.ts'

const MODES: readonly Speculate[] = ['off', 'auto', 4]
const TOKENS = 64

const PASSAGE =
  'The old lighthouse keeper climbed the stairs every evening, lit the lamp, wrote the weather into his book, and watched the ' +
  'ships until the fog came in from the west. In the morning he put the lamp out, swept the stairs, and slept.'

interface Task {
  name: string
  text: string
  chat: boolean
}

const lines: string[] = []
afterAll(() => console.log(`\n${lines.join('\n')}\n`))
function say(line: string): void {
  lines.push(line)
  console.log(line)
}

const read: ReadFile = (path) =>
  readFile(path)
    .then((bytes) => new Uint8Array(bytes))
    .catch(() => null)

async function openSwarm(folder: string, format: WeightFormat): Promise<{ served: ServedSwarm; model: PromptModel }> {
  const files = await readModel(read, folder)
  const { config } = files
  const kernels = await compileKernels()
  const runners = new Map<string, SpanRunner>()
  const quarter = Math.ceil(config.numHiddenLayers / 4)
  const spans = spansBetween([quarter, 2 * quarter, 3 * quarter], config.numHiddenLayers)
  for (const span of spans) {
    const weights = new WasmWeights(config, span, format)
    await putTensors(weights, files, span)
    runners.set(formatSpan(span), await createWasmSpanRunner(kernels, weights, { cacheTokens: 2048 }))
  }
  const runnerOf = (span: Span): SpanRunner => runners.get(formatSpan(span)) as SpanRunner
  const served = new ServedSwarm(config.numHiddenLayers, config.hiddenSize, runnerOf)
  for (const [i, span] of spans.entries()) served.join(`hop${i}`, span.start, span.end)
  const json = async (name: string): Promise<unknown> => {
    const path = join(folder, name)
    return existsSync(path) ? JSON.parse(await readFile(path, 'utf8')) : null
  }
  const model = await createPromptModel(
    {
      config: await json('config.json'),
      generationConfig: await json('generation_config.json'),
      tokenizerJson: await json('tokenizer.json'),
      tokenizerConfig: await json('tokenizer_config.json'),
    },
    { repo: 'fake', revision: 'r', digest: FAKE_DIGEST, blocks: config.numHiddenLayers },
    createInlineSandbox(),
  )
  return { served, model }
}

function processorMs(): number {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1000
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] as number
}

async function compare(
  title: string,
  folder: string,
  { format, rounds, tasks }: { format: WeightFormat; rounds: number; tasks: readonly Task[] },
): Promise<void> {
  const { served, model } = await openSwarm(folder, format)
  try {
    for (const task of tasks) {
      const prepared = await preparePrompt(
        model,
        task.chat
          ? { kind: 'chat', messages: [{ role: 'user', content: task.text }] }
          : { kind: 'raw', text: task.text },
      )
      const speeds = new Map<Speculate, number[]>(MODES.map((mode) => [mode, []]))
      const told = new Map<Speculate, string>()
      let plain: readonly number[] = []
      // The first round warms up.
      for (let round = 0; round <= rounds; round += 1) {
        for (const mode of MODES) {
          const chat = new ChatSession(served.node(), model, {
            now: processorMs,
            randomBytes: (length) => crypto.getRandomValues(new Uint8Array(length)),
            reserveTokens: 0,
          })
          const asked = request(prepared.ids, { maxTokens: TOKENS, ignoreEos: true, speculate: mode })
          const { end } = await collect(chat.generate(asked))
          await chat.close()
          if (mode === 'off') plain = end.ids
          expect(end.ids).toEqual(plain)
          if (round > 0) speeds.get(mode)?.push(end.timings.tokensPerSecond)
          const { laps = 0, drafted = 0, accepted = 0 } = end.timings.speculation ?? {}
          if (mode !== 'off')
            told.set(mode, `${laps} laps, ${accepted} of ${drafted} right, ${(accepted / laps).toFixed(2)} a lap`)
        }
      }
      const off = speeds.get('off') as number[]
      say(`${title}, ${task.name}: off ${median(off).toFixed(1)} tokens/s`)
      for (const mode of MODES.slice(1)) {
        const ratios = (speeds.get(mode) as number[]).map((speed, i) => speed / (off[i] as number))
        const range = `${Math.min(...ratios).toFixed(2)}–${Math.max(...ratios).toFixed(2)}`
        say(`  ${String(mode).padEnd(5)} × ${median(ratios).toFixed(2)} (${range}); ${told.get(mode)}`)
      }
    }
  } finally {
    await served.stop()
  }
}

describe.each(['f32', 'int4'] as const)('guesses, %s', (format) => {
  it('tinytales', async () => {
    const story = 'Once upon a time there was a little girl named Lily. She had a red ball and a small dog. '
    await compare(`tinytales ${format}`, join(REPO_ROOT, 'models/tinytales'), {
      format,
      rounds: 9,
      tasks: [
        { name: 'a story told twice', text: story + story + story.slice(0, 40), chat: false },
        { name: 'a new story', text: 'Tell me a story about a bird.', chat: true },
      ],
    })
  })

  it.skipIf(SMOLLM2_SOURCE === null)(SMOLLM2, async () => {
    await compare(`SmolLM2 ${format}`, join(makeSmolLm2(), SMOLLM2), {
      format,
      rounds: 3,
      tasks: [
        { name: 'a passage to be repeated', text: `Repeat this text word for word: ${PASSAGE}`, chat: true },
        { name: 'a question', text: 'Why is the sky blue, and why is it red in the evening?', chat: true },
      ],
    })
  })
})
