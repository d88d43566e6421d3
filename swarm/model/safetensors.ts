/**
 * The safetensors file header: `[u64 little-endian length n][n bytes of JSON][tensor data]`. The header is checked as a
 * whole, before any of its numbers is used to allocate or fetch; messages carry the number of the rule broken (the list is
 * in `docs/model-files.md`). Format: github.com/huggingface/safetensors.
 */
import { SwarmError } from '../errors.ts'
import { MAX_SAFETENSORS_HEADER_BYTES } from '../limits.ts'
import type { StrictJson } from './strict-json.ts'
import { parseStrictJson, StrictJsonError } from './strict-json.ts'

/** The length field in front of the header. */
export const HEADER_LENGTH_BYTES = 8
const MAX_METADATA_BYTES = 64 * 1024
const MAX_DIMENSIONS = 8
/** `{"tensor": {"shape": [1]}}` is three deep. */
const MAX_DEPTH = 4

/** Every dtype a header may name, with bytes per element: tensors that are not ours are still counted (rule 9). */
const DTYPE_BYTES: ReadonlyMap<string, number> = new Map([
  ...['F64', 'I64', 'U64', 'C64'].map((name) => [name, 8] as const),
  ...['F32', 'I32', 'U32'].map((name) => [name, 4] as const),
  ...['F16', 'BF16', 'I16', 'U16'].map((name) => [name, 2] as const),
  ...['I8', 'U8', 'BOOL', 'F8_E4M3', 'F8_E5M2', 'F8_E8M0'].map((name) => [name, 1] as const),
])

export interface TensorEntry {
  name: string
  /** One of the dtypes that the format names; whether the engine takes it is `plan-ranges.ts`'s question. */
  dtype: string
  shape: number[]
  /** Bytes of the file, `[begin, end)`. */
  begin: number
  end: number
}

export interface SafetensorsHeader {
  /** Bytes of length field and header: where the data begins. */
  dataOffset: number
  tensors: ReadonlyMap<string, TensorEntry>
  metadata: ReadonlyMap<string, string>
}

/** Rules 1 and 2: the header's length out of the file's first 8 bytes. @throws SwarmError BAD_SAFETENSORS */
export function readHeaderLength(file: string, firstBytes: Uint8Array, fileSize: number): number {
  if (fileSize < HEADER_LENGTH_BYTES || firstBytes.length < HEADER_LENGTH_BYTES) {
    throw bad(file, 1, `the file has ${Math.min(fileSize, firstBytes.length)} bytes, at least 8 are needed`)
  }
  const length = new DataView(firstBytes.buffer, firstBytes.byteOffset, HEADER_LENGTH_BYTES).getBigUint64(0, true)
  const room = BigInt(fileSize) - 8n
  if (length < 2n) throw bad(file, 2, `the header is ${length} bytes long, at least 2 are needed`)
  if (length > BigInt(MAX_SAFETENSORS_HEADER_BYTES)) {
    throw bad(file, 2, `the header is ${length} bytes long, the limit is ${MAX_SAFETENSORS_HEADER_BYTES}`)
  }
  if (length > room) throw bad(file, 2, `the header is ${length} bytes long, the file has room for ${room}`)
  return Number(length)
}

/**
 * Rules 3 to 9 over the header's JSON bytes (without the length field).
 * @throws SwarmError BAD_SAFETENSORS
 */
export function parseSafetensorsHeader(file: string, header: Uint8Array, fileSize: number): SafetensorsHeader {
  const dataOffset = HEADER_LENGTH_BYTES + header.length
  const root = parseHeaderJson(file, header)
  const tensors = new Map<string, TensorEntry>()
  let metadata: ReadonlyMap<string, string> = new Map()
  for (const [name, value] of root) {
    if (name === '__metadata__') metadata = readMetadata(file, value)
    else tensors.set(name, readEntry(file, name, value, dataOffset))
  }
  checkContiguous(file, tensors, dataOffset, fileSize)
  return { dataOffset, tensors, metadata }
}

function parseHeaderJson(file: string, header: Uint8Array): Map<string, StrictJson> {
  if (header[0] !== 0x7b) throw bad(file, 3, `the header begins with byte ${header[0]}, not with "{"`)
  let end = header.length
  while (end > 0 && header[end - 1] === 0x20) end -= 1
  if (header[end - 1] !== 0x7d) throw bad(file, 3, 'the header ends with something else than "}" and spaces')
  let text: string
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(header.subarray(0, end))
  } catch (error) {
    throw bad(file, 4, 'the header is not valid UTF-8', error)
  }
  try {
    const root = parseStrictJson(text, { maxDepth: MAX_DEPTH, integersOnly: true })
    if (root instanceof Map) return root
  } catch (error) {
    if (!(error instanceof StrictJsonError)) throw error
    throw bad(file, 4, `the header is not the JSON it must be: ${error.message}`, error)
  }
  throw bad(file, 4, 'the header is not a JSON object')
}

function readMetadata(file: string, value: StrictJson): ReadonlyMap<string, string> {
  if (!(value instanceof Map)) throw bad(file, 5, '__metadata__ is not an object')
  let size = 0
  const metadata = new Map<string, string>()
  for (const [key, text] of value) {
    if (typeof text !== 'string') throw bad(file, 5, `__metadata__ ${show(key)} is not text`)
    size += key.length + text.length
    if (size > MAX_METADATA_BYTES) throw bad(file, 5, `__metadata__ is longer than ${MAX_METADATA_BYTES} characters`)
    metadata.set(key, text)
  }
  return metadata
}

function readEntry(file: string, name: string, value: StrictJson, dataOffset: number): TensorEntry {
  const where = `tensor ${show(name)}`
  if (!(value instanceof Map)) throw bad(file, 4, `${where} is not an object`)
  const dtype = value.get('dtype')
  const elementBytes = typeof dtype === 'string' ? DTYPE_BYTES.get(dtype) : undefined
  if (typeof dtype !== 'string' || elementBytes === undefined) {
    throw bad(file, 6, `${where} has dtype ${show(dtype)}, which is not one that can be read`)
  }
  const shape = readShape(file, where, value.get('shape'))
  const size = checkedSize(file, where, shape, elementBytes)
  const offsets = value.get('data_offsets')
  if (!Array.isArray(offsets) || offsets.length !== 2) throw bad(file, 8, `${where} has no pair of data_offsets`)
  const [begin, end] = offsets
  if (!isCount(begin) || !isCount(end) || begin > end) {
    throw bad(file, 8, `${where} has data_offsets [${show(begin)}, ${show(end)}], which is no range`)
  }
  if (end - begin !== size) {
    throw bad(file, 8, `${where}, ${dtype} [${shape.join(', ')}], needs ${size} bytes and has ${end - begin}`)
  }
  return { name, dtype, shape, begin: dataOffset + begin, end: dataOffset + end }
}

function readShape(file: string, where: string, value: StrictJson | undefined): number[] {
  if (!Array.isArray(value)) throw bad(file, 7, `${where} has no shape`)
  if (value.length > MAX_DIMENSIONS) {
    throw bad(file, 7, `${where} has ${value.length} dimensions, the limit is ${MAX_DIMENSIONS}`)
  }
  return value.map((size) => {
    if (!isCount(size)) throw bad(file, 7, `${where} has the size ${show(size)} in its shape`)
    return size
  })
}

function checkedSize(file: string, where: string, shape: readonly number[], elementBytes: number): number {
  let size = elementBytes
  for (const length of shape) {
    size *= length
    if (!Number.isSafeInteger(size)) throw bad(file, 7, `${where} [${shape.join(', ')}] is too large to count`)
  }
  return size
}

function checkContiguous(
  file: string,
  tensors: ReadonlyMap<string, TensorEntry>,
  dataOffset: number,
  fileSize: number,
): void {
  const entries = [...tensors.values()].toSorted((a, b) => a.begin - b.begin || a.end - b.end)
  let at = dataOffset
  for (const entry of entries) {
    if (entry.begin !== at) {
      const what = entry.begin > at ? 'a hole of' : 'an overlap of'
      throw bad(file, 9, `there is ${what} ${Math.abs(entry.begin - at)} bytes before tensor ${show(entry.name)}`)
    }
    at = entry.end
  }
  if (at !== fileSize) throw bad(file, 9, `the tensors end at byte ${at}, the file at ${fileSize}`)
}

function isCount(value: StrictJson | undefined): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0
}

function show(value: StrictJson | undefined): string {
  if (typeof value === 'string') return JSON.stringify(value.length > 80 ? `${value.slice(0, 80)}…` : value)
  return typeof value === 'number' ? String(value) : typeof value
}

/** An error of one rule about one file. */
export function bad(file: string, rule: number, what: string, cause?: unknown): SwarmError {
  return new SwarmError('BAD_SAFETENSORS', `${file}: ${what} (rule ${rule})`, {
    details: { file, rule },
    action: 'Nothing of it was loaded. Choose another model or revision, or ask its publisher to correct the file.',
    ...(cause === undefined ? {} : { cause }),
  })
}
