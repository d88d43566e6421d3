/** Every workgroup size that may be chosen, in every variant and format, against the plain reference. */
import { afterAll, beforeAll, expect, it } from 'vitest'
import { WEIGHT_FORMATS } from '../../swarm/model/config.ts'
import { OpenLab } from '../gpu/open-lab.ts'

let lab: OpenLab
beforeAll(async () => {
  lab = await OpenLab.start()
})
afterAll(async () => {
  await lab?.close()
})

it.each(WEIGHT_FORMATS)('%s', async (format) => {
  const choices = await lab.call('choices')
  expect(choices.length).toBeGreaterThanOrEqual(10)
  for (const { variant, workgroup } of choices) {
    const failures = await lab.call('kernelCases', 'mat_mul_sizes', { format, variant, workgroup })
    expect(failures, `${variant} in workgroups of ${workgroup}`).toEqual([])
  }
})
