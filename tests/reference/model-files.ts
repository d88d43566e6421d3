/**
 * Reads a model folder (or a `reference.safetensors`) whole, for tests in Node and in the lab page alike: `ReadFile` hides where the
 * bytes are. No ranges and no limits: the product's loader is not used, so that both sides of a comparison do not share it.
 */
import type { LlamaConfig } from '../../swarm/model/config.ts'
import { parseLlamaConfig } from '../../swarm/model/parse-config.ts'

export interface RawTensor {
  dtype: 'F32' | 'F16' | 'BF16'
  shape: number[]
  bytes: Uint8Array
}

/** Path relative to the repository's root; null when there is no such file. */
export type ReadFile = (path: string) => Promise<Uint8Array | null>

export interface ModelFiles {
  config: LlamaConfig
  tensors: Map<string, RawTensor>
}

export async function readModel(read: ReadFile, folder: string): Promise<ModelFiles> {
  const config = parseLlamaConfig(await readJson(read, `${folder}/config.json`))
  const index = await read(`${folder}/model.safetensors.index.json`)
  const files =
    index === null
      ? ['model.safetensors']
      : [...new Set(Object.values((JSON.parse(text(index)) as { weight_map: Record<string, string> }).weight_map))]
  const tensors = new Map<string, RawTensor>()
  for (const file of files) {
    for (const [name, tensor] of await readSafetensors(read, `${folder}/${file}`)) tensors.set(name, tensor)
  }
  return { config, tensors }
}

export async function readSafetensors(read: ReadFile, path: string): Promise<Map<string, RawTensor>> {
  const bytes = await need(read, path)
  const length = Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true))
  type Entry = { dtype: RawTensor['dtype']; shape: number[]; data_offsets: [number, number] }
  const header = JSON.parse(text(bytes.subarray(8, 8 + length))) as Record<string, Entry>
  const tensors = new Map<string, RawTensor>()
  for (const [name, entry] of Object.entries(header)) {
    if (name === '__metadata__') continue
    const [begin, end] = entry.data_offsets
    tensors.set(name, {
      dtype: entry.dtype,
      shape: entry.shape,
      bytes: bytes.subarray(8 + length + begin, 8 + length + end),
    })
  }
  return tensors
}

export async function readJson(read: ReadFile, path: string): Promise<unknown> {
  return JSON.parse(text(await need(read, path)))
}

/** Elements as f32, by arithmetic rather than by bits: the engine's own conversion is under test elsewhere. */
export function asF32({ dtype, bytes }: RawTensor): Float32Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (dtype === 'F32') return Float32Array.from({ length: bytes.length / 4 }, (_, i) => view.getFloat32(i * 4, true))
  const fractionBits = dtype === 'F16' ? 10 : 7
  const bias = dtype === 'F16' ? 15 : 127
  return Float32Array.from({ length: bytes.length / 2 }, (_, i) => {
    const bits = view.getUint16(i * 2, true)
    const exponent = (bits & 0x7fff) >> fractionBits
    const fraction = (bits & ((1 << fractionBits) - 1)) / 2 ** fractionBits
    const magnitude = exponent === 0 ? fraction * 2 ** (1 - bias) : (1 + fraction) * 2 ** (exponent - bias)
    return bits >> 15 === 1 ? -magnitude : magnitude
  })
}

export function allF32(tensors: ReadonlyMap<string, RawTensor>): Map<string, Float32Array> {
  return new Map([...tensors].map(([name, tensor]) => [name, asF32(tensor)]))
}

async function need(read: ReadFile, path: string): Promise<Uint8Array> {
  const bytes = await read(path)
  if (bytes === null) throw new Error(`no file ${path}`)
  return bytes
}

function text(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes)
}
