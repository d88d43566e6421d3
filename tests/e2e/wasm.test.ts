/** The WebAssembly backend in real tabs: a browser without any WebGPU adapter answers with the reference's ids. */
import { afterAll, beforeAll, expect, it } from 'vitest'
import { makeTempDir, removeTempDir, runTabswarm } from '../support/processes.ts'
import { tinytalesCase, type PromptAnswer } from '../support/swarm.ts'

let dataDir: string
beforeAll(() => {
  dataDir = makeTempDir('wasm-data')
})
afterAll(() => removeTempDir(dataDir))

it('start --backend wasm: two tabs without an adapter answer with the reference’s ids, and say what they compute with', async () => {
  const reference = tinytalesCase('Tell me a story.')
  const args = ['start', '--backend', 'wasm', '--tabs', '2', '--prompt', reference.prompt, '--temperature', '0']
  const { code, stdout, stderr } = await runTabswarm([...args, '--max-tokens', '200', '--json'], { dataDir })
  expect(code, stderr).toBe(0)
  const answer = JSON.parse(stdout) as PromptAnswer
  expect(answer.ids).toEqual(reference.greedy)
  expect(answer.text).toBe(reference.greedy_text)
  expect(answer.route.map(({ start, end }) => [start, end])).toEqual([
    [0, 4],
    [4, 8],
  ])
  expect([answer.weights, answer.backend]).toEqual(['f32', 'wasm'])
  expect(stderr).toContain('Adapter: none, the tabs compute with WebAssembly on the processor.')
})
