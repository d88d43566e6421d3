import { describe, expect, it } from 'vitest'
import type { BackendChoice } from '../../../../swarm/backend.ts'
import { SwarmError } from '../../../../swarm/errors.ts'
import { chooseCompute } from '../../../../web/donor/choose-compute.ts'
import { computeLine } from '../../../../web/donor/lines.ts'

const noAdapter = (adapter: string) => new SwarmError('NO_ADAPTER', 'no adapter', { details: { adapter } })

/** What was opened, in words, where WebGPU is as `trouble` says. */
function chosen(choice: BackendChoice, trouble: Error | null = null): Promise<string> {
  return chooseCompute(choice, {
    gpu: (adapter, reason) =>
      trouble === null ? Promise.resolve(`gpu ${adapter} ${reason}`) : Promise.reject(trouble),
    wasm: (reason) => Promise.resolve(`wasm ${reason}`),
  })
}

describe('what a tab computes with', () => {
  it.each([
    ['auto', 'gpu real gpu'],
    ['webgpu', 'gpu any asked'],
    ['software', 'gpu software asked'],
    ['wasm', 'wasm asked'],
  ] as const)('%s with WebGPU there: %s', async (choice, what) => {
    expect(await chosen(choice)).toBe(what)
  })

  it.each([
    [noAdapter('software'), 'wasm software-adapter'],
    [noAdapter('none'), 'wasm no-adapter'],
    [noAdapter('no-device'), 'wasm no-device'],
    [new SwarmError('NO_WEBGPU', 'no WebGPU'), 'wasm no-webgpu'],
  ])('auto where a GPU is missing (%#) takes WebAssembly and knows why: %s', async (trouble, what) => {
    expect(await chosen('auto', trouble)).toBe(what)
  })

  it.each(['webgpu', 'software'] as const)('%s where none is there is an error', async (choice) => {
    await expect(chosen(choice, noAdapter('none'))).rejects.toMatchObject({ code: 'NO_ADAPTER' })
  })

  it('a page over plain http, and what nobody foresaw, stay errors under auto', async () => {
    await expect(chosen('auto', new SwarmError('INSECURE_CONTEXT', 'http'))).rejects.toMatchObject({
      code: 'INSECURE_CONTEXT',
    })
    await expect(chosen('auto', new TypeError('a bug'))).rejects.toThrow('a bug')
  })

  it('the log says what and why', () => {
    const adapter = { description: 'WebAssembly SIMD, 2 threads', backend: 'wasm', reason: 'no-webgpu' } as const
    expect(computeLine(adapter)).toBe(
      'Computing with WebAssembly on the processor (WebAssembly SIMD, 2 threads): this browser has no WebGPU.',
    )
  })
})
