/** Model folders made from a fixture with something changed: other checkpoints of the same kinds, and broken ones. */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { REPO_ROOT } from './processes.ts'
import { buildSafetensors, type BuiltTensor } from './safetensors-builder.ts'

export interface ModelParts {
  config: Record<string, unknown>
  tensors: Record<string, BuiltTensor>
  /** Every other small file, by name; null leaves one out. */
  files: Record<string, string | null>
}

/** All of a fixture's tensors, whatever its shards. */
export function readParts(fixture: string): ModelParts {
  const folder = join(REPO_ROOT, fixture.includes('/') ? fixture : `tests/fixtures/models/${fixture}`)
  const tensors: Record<string, BuiltTensor> = {}
  const files: Record<string, string> = {}
  for (const name of readdirSync(folder)) {
    if (/^model.*\.safetensors$/.test(name)) Object.assign(tensors, readTensors(readFileSync(join(folder, name))))
    else if (name.endsWith('.json') && !/^(reference|config|model)/.test(name))
      files[name] = readFileSync(join(folder, name), 'utf8')
  }
  const config = JSON.parse(readFileSync(join(folder, 'config.json'), 'utf8')) as Record<string, unknown>
  return { config, tensors, files }
}

function readTensors(bytes: Buffer): Record<string, BuiltTensor> {
  const dataAt = 8 + Number(bytes.readBigUInt64LE(0))
  type Entry = { dtype: string; shape: number[]; data_offsets: [number, number] }
  const header = JSON.parse(bytes.toString('utf8', 8, dataAt)) as Record<string, Entry>
  const entries = Object.entries(header).filter(([name]) => name !== '__metadata__')
  return Object.fromEntries(
    entries.map(
      ([
        name,
        {
          dtype,
          shape,
          data_offsets: [begin, end],
        },
      ]) => [name, { dtype, shape, data: bytes.subarray(dataAt + begin, dataAt + end) }],
    ),
  )
}

function writeSmall(folder: string, { config, files }: ModelParts): void {
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, 'config.json'), JSON.stringify(config))
  for (const [name, text] of Object.entries(files)) if (text !== null) writeFileSync(join(folder, name), text)
}

/** One `model.safetensors`. */
export function writeSingle(folder: string, parts: ModelParts, metadata?: Record<string, string>): void {
  writeSmall(folder, parts)
  writeFileSync(join(folder, 'model.safetensors'), buildSafetensors(parts.tensors, metadata))
}

/** So many shards with an index, tensors dealt out in their order. */
export function writeSharded(folder: string, parts: ModelParts, shards: number): void {
  writeSmall(folder, parts)
  const names = Object.keys(parts.tensors)
  const each = Math.ceil(names.length / shards)
  const weightMap: Record<string, string> = {}
  for (let i = 0; i < shards; i += 1) {
    const file = `model-${String(i + 1).padStart(5, '0')}-of-${String(shards).padStart(5, '0')}.safetensors`
    const mine = names.slice(i * each, (i + 1) * each)
    for (const name of mine) weightMap[name] = file
    const tensors = Object.fromEntries(mine.map((name) => [name, parts.tensors[name] as BuiltTensor]))
    writeFileSync(join(folder, file), buildSafetensors(tensors, { format: 'pt' }))
  }
  const total = Object.values(parts.tensors).reduce((sum, { data }) => sum + data.length, 0)
  writeFileSync(
    join(folder, 'model.safetensors.index.json'),
    JSON.stringify({ metadata: { total_size: total }, weight_map: weightMap }),
  )
}
