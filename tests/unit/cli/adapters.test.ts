import { expect, it } from 'vitest'
import { adaptersFor } from '../../../cli/browser/launch.ts'
import { processorsPerTab } from '../../../cli/tabs/start-tabs.ts'

it.each([
  ['auto', ['real', 'none'], ['none']],
  ['webgpu', ['real', 'software'], ['software']],
  ['software', ['software'], ['software']],
  ['wasm', ['none'], ['none']],
] as const)('%s tries %j where a GPU may be there, and %j where none is', (backend, withGpu, without) => {
  expect(adaptersFor(backend, true)).toEqual(withGpu)
  expect(adaptersFor(backend, false)).toEqual(without)
})

it.each([
  [2, 4, 1],
  [2, 1, 2],
  [16, 4, 4],
  [7, 2, 3],
  [8, 0, 8],
])('%i processors for %i tabs: %i threads each', (processors, tabs, threads) => {
  expect(processorsPerTab(processors, tabs)).toBe(threads)
})
