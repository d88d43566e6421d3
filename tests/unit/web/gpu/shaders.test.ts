/** Holds the shader folder to its conventions: bindings, params, header, and the table in its README. */
import { readdirSync, readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { WEIGHT_FORMATS } from '../../../../swarm/model/config.ts'
import { readBindings, readParams } from '../../../../web/gpu/kernel.ts'

const folder = new URL('../../../../shaders/', import.meta.url)
const files = readdirSync(folder).filter((name) => name.endsWith('.wgsl'))
const textOf = (name: string): string => readFileSync(new URL(name, folder), 'utf8')
/** Put in front of the operations that read weights; these have the third binding, and scales' last, from the weight format. */
const FORMATS = WEIGHT_FORMATS.map((format) => `weights_${format}.wgsl`)
const INPUTS = ['mat_input.wgsl', 'mat_input_norm.wgsl']
const OUTPUTS = ['mat_output.wgsl', 'mat_output_silu.wgsl']
const KV = ['kv_f32.wgsl', 'kv_f16.wgsl']
const PIECES = [...FORMATS, ...INPUTS, ...OUTPUTS, ...KV, 'four_rows.wgsl', 'mat_frame.wgsl']

it('the README lists exactly the files there are', () => {
  const listed = [...textOf('README.md').matchAll(/^\| `(\w+\.wgsl)`/gm)].map(([, name]) => name)
  expect(new Set(listed)).toEqual(new Set(files))
})

describe.each(files.filter((name) => !PIECES.includes(name)))('%s', (name) => {
  const own = textOf(name)
  // Bindings, params and step of the matrix kernels stand in front of them; those of few rows stand behind either input and output.
  const [, behind = ''] = /Behind `mat_frame`, (.*)\n/.exec(own) ?? []
  const inputs = behind.includes('a `mat_input*`') ? INPUTS : INPUTS.slice(0, 1)
  const outputs = behind.includes('a `mat_output*`') ? OUTPUTS : OUTPUTS.slice(0, 1)
  const matrices = inputs.flatMap((input) =>
    outputs.map((output) => ['mat_frame.wgsl', input, output].map(textOf).concat(own).join('\n')),
  )
  const codes = behind === '' ? [own] : matrices
  const wholes = codes.flatMap((code) => {
    if (!/load_weights\(/.test(code)) return [code]
    return FORMATS.map((format) => {
      const weights = textOf(format)
      return `${weights}\n${code}`.replace('@binding(NORM)', `@binding(${weights.includes('scales: array') ? 6 : 5})`)
    })
  })

  it('numbers its bindings 0, 1, 2, …: params and step first, the outputs behind the inputs, scales and norm behind all', () => {
    for (const whole of wholes) {
      const bindings = readBindings(name, whole)
      expect(bindings.slice(0, 2).map(({ buffer }) => buffer?.type)).toEqual(['uniform', 'uniform'])
      const behindOutputs = [whole.includes('scales: array'), whole.includes('norm: array')].filter(Boolean).length
      expect(bindings.at(-1 - behindOutputs)?.buffer?.type).toBe('storage')
    }
  })

  it('has params of four-byte scalars and the step that every kernel has', () => {
    for (const whole of wholes) {
      expect(readParams(name, whole).length).toBeGreaterThan(0)
      expect(whole).toContain('struct Step { rows: u32, position: u32, splits: u32, first: u32 }')
    }
  })

  it('says in its header what it computes, how it is dispatched and what its reference is', () => {
    const header = own.slice(0, own.search(/^(?!\/\/)/m))
    for (const word of ['Formula', 'In', 'Out', 'Dispatch:', 'Reference: `']) expect(header).toContain(word)
  })

  it('reaches past 65,535 workgroups, where it may need so many', () => {
    // top_k is one workgroup, whatever the size.
    expect(own.includes('y * grid.x')).toBe(name !== 'top_k.wgsl')
  })
})
