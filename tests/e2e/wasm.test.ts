/** The WebAssembly backend in real tabs: without any WebGPU adapter they answer with the reference's ids. */
import { availableParallelism } from 'node:os'
import { expect, it } from 'vitest'
import { launchChromium } from '../support/browser.ts'
import { openDonorPage } from '../support/donor-page.ts'
import { makeTempDir, removeTempDir, runTabswarm } from '../support/processes.ts'
import { TestSwarm, tinytalesCase, type PromptAnswer } from '../support/swarm.ts'

const reference = tinytalesCase('Tell me a story.')

it('start --backend wasm: two tabs without an adapter answer with the reference’s ids, and say what they compute with', async () => {
  const dataDir = makeTempDir('wasm-data')
  try {
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
    expect(answer.route.map(({ weights, backend }) => [weights, backend])).toEqual([
      ['f32', 'wasm'],
      ['f32', 'wasm'],
    ])
    expect(stderr).toContain('Adapter: none, the tabs compute with WebAssembly on the processor.')
  } finally {
    removeTempDir(dataDir)
  }
})

it('auto on a software adapter: the page says that no GPU is used and why, and its record says wasm and int4', async () => {
  const swarm = new TestSwarm()
  await swarm.relay()
  const browser = await launchChromium()
  try {
    const pageUrl = `http://127.0.0.1:${swarm.ports[0]}/`
    const query = { model: 'tinytales', backend: 'auto', weights: 'int4', num_blocks: '8' }
    const donor = await openDonorPage(browser, pageUrl, query)
    await donor.page.getByText('No GPU is used: the processor does all the work with WebAssembly').waitFor()
    await donor.page
      .getByTestId('plan-adapter')
      .getByText('because the browser offers only a software adapter, which would be slower')
      .waitFor()
    await donor.start()
    await donor.serving(60_000)
    expect(donor.console).toContainEqual(
      expect.stringMatching(
        /^Computing with WebAssembly on the processor \(.*\): the browser offers only a software adapter, on which WebGPU is slower\.$/,
      ),
    )
    // One tab on this machine: a thread for each processor, and a warning where they do not start.
    const threads = Math.min(8, availableParallelism())
    const words = threads === 1 ? '1 thread' : `up to ${threads} threads`
    expect(donor.console.join('\n')).toContain(`(WebAssembly SIMD, ${words})`)
    expect((await donor.panel()).filter(({ text }) => text.includes('One thread computes'))).toEqual([])
    const answer = await swarm.prompt(['--temperature', '0', '--max-tokens', '8', '--prompt', reference.prompt])
    expect([answer.ids.length, answer.weights, answer.backend]).toEqual([8, 'int4', 'wasm'])
    // Another view of the same page: the tab goes on serving.
    await donor.page.evaluate(() => (location.hash = '#swarm'))
    const record = donor.page.locator('tr[data-peer]')
    await record.locator('td', { hasText: /^wasm$/ }).waitFor()
    await record.locator('td', { hasText: /^int4$/ }).waitFor()
  } finally {
    await browser.close()
    await swarm.stop()
  }
})
