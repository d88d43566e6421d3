/**
 * The cases that an independent implementation computed, checked against a model that runs over four tabs: by whole rows of
 * logits below the sampler, and by the greedy text that a command prints.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'vitest'
import { asF32, readSafetensors, type RawTensor } from '../reference/model-files.ts'
import { firstAddress } from './original-guide.ts'
import { makeTempDir, removeTempDir, runTabswarm, startTabswarm, type StartedProcess } from './processes.ts'
import { argmax, joinSwarm, type RouteClient } from './route-client.ts'
import { freePort, type PromptAnswer, type ReferenceCase } from './swarm.ts'

const TABS = 4
const LOGIT_TOLERANCE = 2e-3
const NEAR_BEST = 0.02
/** SmolLM2 is ready after half a minute on two quiet cores. */
const READY_MS = 400_000

export interface References {
  cases: ReferenceCase[]
  lastLogits(index: number): Float32Array
}

/** `folder` holds reference.json and reference.safetensors. */
export async function readReferences(folder: string): Promise<References> {
  const cases = JSON.parse(readFileSync(join(folder, 'reference.json'), 'utf8')) as ReferenceCase[]
  const tensors = await readSafetensors(async (file) => readFileSync(file), join(folder, 'reference.safetensors'))
  return { cases, lastLogits: (index) => asF32(tensors.get(`${index}.prompt_last_logits`) as RawTensor) }
}

/** `start` with four tabs, and a client of the test's own that joined it. */
export interface RunningModel {
  client: RouteClient
  /** To be pasted into `--dht_initial_peers`. */
  address: string
  dataDir: string
  stop(): Promise<void>
}

export async function startModel(args: readonly string[]): Promise<RunningModel> {
  const dataDir = makeTempDir('models')
  const port = await freePort()
  const start = startTabswarm(['start', '--port', String(port), '--tabs', String(TABS), ...args], { dataDir })
  const end = async (): Promise<void> => {
    await start.stop()
    removeTempDir(dataDir)
  }
  try {
    await start.waitForLine(/^Ready:/, READY_MS)
    const client = await joinSwarm(pageOf(start))
    return {
      client,
      address: firstAddress(await start.waitForLine(/DHT visible multiaddrs/)),
      dataDir,
      async stop() {
        await client.stop()
        await end()
      },
    }
  } catch (error) {
    await end()
    throw error
  }
}

function pageOf(start: StartedProcess): string {
  const line = start.both.find((candidate) => candidate.startsWith('Page:')) ?? ''
  return /^Page:\s+(\S+)/.exec(line)?.[1] as string
}

/**
 * The prompt's last logits within 2e-3; the greedy ids as far as the reference itself is firm; then the reference's ids are
 * fed, and each next one lies within 0.02 of our best logit.
 */
export async function checkRows(client: RouteClient, references: References, index: number): Promise<void> {
  const reference = references.cases[index] as ReferenceCase
  const run = await client.start(reference.input_ids, reference.input_ids.length + reference.greedy.length)
  try {
    expect(run.hops).toHaveLength(TABS)
    expect(new Set(run.hops.map((hop) => hop.peerId)).size).toBe(TABS)
    const worst = references
      .lastLogits(index)
      .reduce((most, value, id) => Math.max(most, Math.abs(value - (run.logits[id] as number))), 0)
    expect(worst).toBeLessThanOrEqual(LOGIT_TOLERANCE)
    for (const [step, id] of reference.greedy.entries()) {
      const best = argmax(run.logits)
      const behind = (run.logits[best] as number) - (run.logits[id] as number)
      if (step < reference.steps_before_a_near_tie) expect(best, `greedy id ${step}`).toBe(id)
      else expect(behind, `id ${step} is near our best`).toBeLessThanOrEqual(NEAR_BEST)
      if (step + 1 < reference.greedy.length) await run.feed(id)
    }
  } finally {
    await run.close()
  }
}

/** `tabswarm prompt` says the reference's text, as far as the reference is firm. */
export async function checkPrompt(model: RunningModel, reference: ReferenceCase): Promise<PromptAnswer> {
  const firm = reference.greedy.slice(0, reference.steps_before_a_near_tie)
  const args = ['prompt', '--dht_initial_peers', model.address, '--prompt', reference.prompt, '--json']
  args.push('--temperature', '0', '--max-tokens', String(firm.length))
  if (reference.kind === 'raw') args.push('--raw')
  const { code, stdout, stderr } = await runTabswarm(args, { dataDir: model.dataDir, timeoutMs: READY_MS })
  expect(code, stderr).toBe(0)
  const answer = JSON.parse(stdout) as PromptAnswer
  checkAnswer(answer, reference)
  return answer
}

export function checkAnswer(answer: PromptAnswer, reference: ReferenceCase): void {
  expect(answer.promptIds).toEqual(reference.input_ids)
  const firm = reference.greedy.slice(0, reference.steps_before_a_near_tie)
  expect(firm.length).toBeGreaterThan(0)
  expect(answer.ids).toEqual(firm)
  if (firm.length === reference.greedy.length) expect(answer.text).toBe(reference.greedy_text)
  else expect(reference.greedy_text.startsWith(answer.text)).toBe(true)
  expect(answer.route).toHaveLength(TABS)
  expect(new Set(answer.route.map(({ peer }) => peer)).size).toBe(TABS)
}
