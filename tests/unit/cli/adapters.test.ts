import { expect, it } from 'vitest'
import { adaptersFor } from '../../../cli/browser/launch.ts'

it.each([
  ['auto', ['real', 'none'], ['none']],
  ['webgpu', ['real', 'software'], ['software']],
  ['software', ['software'], ['software']],
  ['wasm', ['none'], ['none']],
] as const)('%s tries %j where a GPU may be there, and %j where none is', (backend, withGpu, without) => {
  expect(adaptersFor(backend, true)).toEqual(withGpu)
  expect(adaptersFor(backend, false)).toEqual(without)
})
