/** A tensor's bytes read straight from the files of a checkpoint, whole: no part of the product's loader but the header's parser. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseSafetensorsHeader, readHeaderLength } from '../../swarm/model/safetensors.ts'

export function tensorFromFiles(folder: string, name: string): { dtype: string; bytes: Uint8Array } {
  const index = join(folder, 'model.safetensors.index.json')
  let file = 'model.safetensors'
  try {
    file = (JSON.parse(readFileSync(index, 'utf8')) as { weight_map: Record<string, string> }).weight_map[name] ?? ''
  } catch {
    // A checkpoint of one file has no index.
  }
  const bytes = readFileSync(join(folder, file))
  const length = readHeaderLength(file, bytes, bytes.length)
  const entry = parseSafetensorsHeader(file, bytes.subarray(8, 8 + length), bytes.length).tensors.get(name)
  if (entry === undefined) throw new Error(`${folder} has no ${name}`)
  // A copy, and no Buffer: slices of a Buffer are views of the whole file.
  return { dtype: entry.dtype, bytes: Uint8Array.from(bytes.subarray(entry.begin, entry.end)) }
}
