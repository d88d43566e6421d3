/**
 * From a span's tensors and the shard headers to byte ranges: rules 10, 11 and 15, all decided before a byte of weights is
 * asked for. Ranges of tensors that lie side by side are merged; a gap is never fetched to save a request.
 */
import { SwarmError } from '../errors.ts'
import { bad } from './safetensors.ts'
import type { SafetensorsHeader } from './safetensors.ts'
import { INDEX_FILE, SINGLE_FILE } from './safetensors-index.ts'
import type { TensorDtype, TensorSpec } from './tensors.ts'
import { BYTES_PER_ELEMENT, tensorElements } from './tensors.ts'

/** Where one tensor's bytes are. */
export interface TensorRange {
  spec: TensorSpec
  dtype: TensorDtype
  file: string
  /** Bytes of the file, `[begin, end)`. */
  begin: number
  end: number
}

/** Bytes of one file that are fetched at once, with what they hold, in file order. */
export interface ByteRange {
  file: string
  begin: number
  end: number
  tensors: TensorRange[]
}

/**
 * The files whose headers are needed for these tensors. `index` is null for a single-file checkpoint.
 * @throws SwarmError BAD_SAFETENSORS when the index does not name a tensor (rule 10)
 */
export function shardsOf(specs: readonly TensorSpec[], index: ReadonlyMap<string, string> | null): string[] {
  if (index === null) return [SINGLE_FILE]
  return [...new Set(specs.map((spec) => shardOf(spec, index)))].toSorted()
}

/** One range per tensor, ordered by file and place. @throws SwarmError BAD_SAFETENSORS */
export function locateTensors(
  specs: readonly TensorSpec[],
  headers: ReadonlyMap<string, SafetensorsHeader>,
  index: ReadonlyMap<string, string> | null,
): TensorRange[] {
  const ranges = specs.map((spec) => {
    const file = index === null ? SINGLE_FILE : shardOf(spec, index)
    return locate(spec, file, headers.get(file))
  })
  return ranges.toSorted((a, b) => (a.file === b.file ? a.begin - b.begin : a.file < b.file ? -1 : 1))
}

/** Merges neighbours. `ranges` ordered as `locateTensors` returns them. */
export function planRanges(ranges: readonly TensorRange[]): ByteRange[] {
  const merged: ByteRange[] = []
  for (const range of ranges) {
    const last = merged.at(-1)
    if (last !== undefined && last.file === range.file && last.end === range.begin) {
      last.end = range.end
      last.tensors.push(range)
    } else {
      merged.push({ file: range.file, begin: range.begin, end: range.end, tensors: [range] })
    }
  }
  return merged
}

function shardOf(spec: TensorSpec, index: ReadonlyMap<string, string>): string {
  const file = index.get(spec.name)
  if (file === undefined) throw bad(INDEX_FILE, 10, `tensor ${spec.name}, which the config calls for, is missing`)
  return file
}

function locate(spec: TensorSpec, file: string, header: SafetensorsHeader | undefined): TensorRange {
  const entry = header?.tensors.get(spec.name)
  if (entry === undefined) throw bad(file, 10, `tensor ${spec.name}, which the config calls for, is missing`)
  if (!isTensorDtype(entry.dtype)) {
    throw new SwarmError(
      'UNSUPPORTED_MODEL',
      `${file}: tensor ${spec.name} is stored as ${entry.dtype}; F32, F16 and BF16 are loaded (rule 6)`,
      { details: { file, rule: 6 }, action: 'Choose a checkpoint in f32, f16 or bf16.' },
    )
  }
  if (entry.shape.length === 0 || tensorElements({ ...spec, shape: entry.shape }) === 0) {
    throw bad(file, 15, `tensor ${spec.name} is empty or a single number`)
  }
  if (entry.shape.length !== spec.shape.length || entry.shape.some((size, i) => size !== spec.shape[i])) {
    const expected = spec.shape.join(', ')
    throw bad(file, 11, `tensor ${spec.name} is [${entry.shape.join(', ')}], the config implies [${expected}]`)
  }
  return { spec, dtype: entry.dtype, file, begin: entry.begin, end: entry.end }
}

function isTensorDtype(dtype: string): dtype is TensorDtype {
  return Object.hasOwn(BYTES_PER_ELEMENT, dtype)
}
