/**
 * Frames of the inference and push streams: a fixed 44-byte header, then raw row-major bytes. Each frame is one
 * length-prefixed message (unsigned varint, as libp2p's lp streams write it). Little-endian throughout.
 *
 *   0  u8   version (1)         20 u32 epoch              36 u32 columns
 *   1  u8   type                24 u32 step               40 u8  dtype
 *   2  u16  flags               28 u32 position           41 u8[3] zero
 *   4  u8[16] session           32 u32 rows               44 payload
 *
 * Every length is checked against `limits.ts` before anything is allocated; a frame that lies about its length is
 * BAD_FRAME. Decoding never throws anything but SwarmError BAD_FRAME or WRONG_VERSION. Values are checked to be finite
 * by `assertFinite`, which the serving end calls where hidden states arrive.
 */
import { SwarmError, type ErrorCode, type PlainError } from './errors.ts'
import {
  MAX_FRAME_BYTES,
  MAX_HIDDEN_SIZE,
  MAX_JSON_FRAME_BYTES,
  MAX_LOGITS_ROWS,
  MAX_STEP_ROWS,
  MAX_TOP_K,
  MAX_VOCAB_SIZE,
} from './limits.ts'
import { STATUS_OF_CODE } from './protocol.ts'
import type { LogitsRow } from './span-runner.ts'

export const FRAME_VERSION = 1
export const FRAME_HEADER_BYTES = 44

export const FRAME_TYPES = {
  /** requester → hop, JSON `OpenMessage`. */
  open: 1,
  /** hop → requester, JSON `OpenedMessage`. */
  opened: 2,
  /** previous hop → hop on a push stream, JSON `{}`; the session id in the header names what it attaches to. */
  attach: 3,
  attached: 4,
  /** token ids `[rows]` u32 (first hop) or hidden states `[rows, columns]`. */
  step: 5,
  /** last hop → requester: the step ran and no logits were asked for. */
  done: 6,
  /** last hop → requester: best logits of the last row, or of all rows. */
  logits: 7,
  /** requester → last hop: the last step's logits again, with `columns` = k. */
  moreLogits: 8,
  /** requester → hop: forget tokens from `position` on. */
  truncate: 9,
  truncated: 10,
  /** either way: this session is over here; nothing follows. */
  close: 11,
  /** hop → requester or previous hop, JSON `FailureMessage`: the session cannot go on at this hop. */
  failure: 12,
  ping: 13,
  pong: 14,
  /** requester → hop: send the next hop again what it was sent for `rows` tokens from `position` on. */
  resend: 15,
} as const
export type FrameType = keyof typeof FRAME_TYPES
const TYPE_NAMES = new Map<number, FrameType>(Object.entries(FRAME_TYPES).map(([name, id]) => [id, name as FrameType]))

export const DTYPES = { none: 0, u32: 1, f32: 2, f16: 3, json: 4, logits: 5 } as const
export type FrameDtype = keyof typeof DTYPES
const DTYPE_NAMES = new Map<number, FrameDtype>(Object.entries(DTYPES).map(([name, id]) => [id, name as FrameDtype]))

/** Set on a `step` whose last row's logits are wanted; `topK` stands in the low 11 bits of flags. */
export const FLAG_WANTS_LOGITS = 0x8000
export const FLAG_TOP_K_MASK = 0x07ff
/** Beside it: the logits of every row are wanted. On `logits`: they are. Only where all hops said `logitsRows`. */
export const FLAG_ALL_ROWS = 0x4000
/** Set on a `step` that may begin before the end of what a hop holds: tokens from there on are forgotten first. As above. */
export const FLAG_CUT = 0x2000

/** Set on a `step` that runs again what was run before a hop was lost: it goes no further than the last hop that is new. */
export const FLAG_REPLAY = 0x1000

export interface Frame {
  type: FrameType
  flags: number
  /** 32 lower-case hex digits. */
  session: string
  epoch: number
  step: number
  position: number
  rows: number
  columns: number
  dtype: FrameDtype
  payload: Uint8Array
}

/** What a requesting peer tells each hop. Unknown keys are kept out of the type and ignored. */
export interface OpenMessage {
  version: string
  modelDigest: string
  start: number
  end: number
  /** Peer id whose steps this hop takes: the requesting peer for the first hop, else the previous hop. */
  previous: string
  /** Peer id that this hop pushes hidden states to; null at the last hop. */
  next: string | null
  /** KV cache to set aside, in tokens. */
  maxTokens: number
  dtype: 'f32' | 'f16'
  /** The session's first tokens by name; a hop that knows nothing of it begins at 0. */
  prefix?: PrefixMessage
  /** The session is open here under an earlier epoch, or was until a hop beside this one was lost: it goes on with what this hop holds. */
  resume?: boolean
  /** Steps that run again (FLAG_REPLAY) end here: the next hop has what came of them. */
  endsReplay?: boolean
}

/** See `PrefixNames` of `span-runner.ts`: who owns them is whoever opens the session. */
export interface PrefixMessage {
  source: string
  stride: number
  names: readonly string[]
}

export interface OpenedMessage {
  version: string
  /** Weight format and adapter kind the hop computes with. */
  weights: string
  backend: string
  /** Milliseconds the hop needed to connect to its next hop. */
  connectMs: number
  /** Whether it reaches its next hop directly; absent for the last hop, and where the requesting peer stands between. */
  nextDirect?: boolean
  /** Other sessions at this hop when it opened this one, those just opening included. */
  sessions: number
  /** The hop takes steps that cut, and gives the logits of so many rows of one; absent at peers that do neither. */
  logitsRows?: number
  /** Tokens of the named prefix that the session begins with; absent: none. */
  kept?: number
  /** The hop takes `resume` and `resend`; absent at peers that take neither. */
  resumes?: boolean
  /** Of a session that goes on: tokens whose keys and values the hop holds, and how many of the first ones it can send on again. */
  held?: number
  outputs?: number
}

export interface FailureMessage extends PlainError {
  status: number
}

export function emptyFrame(type: FrameType, session: string, epoch: number): Frame {
  return { type, flags: 0, session, epoch, step: 0, position: 0, rows: 0, columns: 0, dtype: 'none', payload: EMPTY }
}
const EMPTY = new Uint8Array(0)

export function jsonFrame(type: FrameType, session: string, epoch: number, value: unknown): Frame {
  const payload = new TextEncoder().encode(JSON.stringify(value))
  return { ...emptyFrame(type, session, epoch), dtype: 'json', payload }
}

export function failureFrame(session: string, epoch: number, error: PlainError): Frame {
  const message: FailureMessage = { ...error, status: STATUS_OF_CODE[error.code] ?? 500 }
  return jsonFrame('failure', session, epoch, message)
}

export function encodeFrame(frame: Frame): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(FRAME_HEADER_BYTES + frame.payload.byteLength)
  const view = new DataView(bytes.buffer)
  view.setUint8(0, FRAME_VERSION)
  view.setUint8(1, FRAME_TYPES[frame.type])
  view.setUint16(2, frame.flags, true)
  writeHex(bytes, 4, frame.session)
  view.setUint32(20, frame.epoch, true)
  view.setUint32(24, frame.step, true)
  view.setUint32(28, frame.position, true)
  view.setUint32(32, frame.rows, true)
  view.setUint32(36, frame.columns, true)
  view.setUint8(40, DTYPES[frame.dtype])
  bytes.set(frame.payload, FRAME_HEADER_BYTES)
  return bytes
}

/** @throws SwarmError BAD_FRAME, WRONG_VERSION */
export function decodeFrame(bytes: Uint8Array): Frame {
  if (bytes.byteLength < FRAME_HEADER_BYTES)
    throw bad(`a frame of ${bytes.byteLength} bytes is shorter than its header`)
  if (bytes.byteLength > MAX_FRAME_BYTES) throw bad(`a frame of ${bytes.byteLength} bytes exceeds ${MAX_FRAME_BYTES}`)
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const version = view.getUint8(0)
  if (version !== FRAME_VERSION) {
    throw new SwarmError(
      'WRONG_VERSION',
      `frame version ${version} is not spoken here (this side speaks ${FRAME_VERSION})`,
      {
        action: 'Reload the page or update the program.',
      },
    )
  }
  const type = TYPE_NAMES.get(view.getUint8(1))
  if (type === undefined) throw bad(`unknown frame type ${view.getUint8(1)}`)
  const dtype = DTYPE_NAMES.get(view.getUint8(40))
  if (dtype === undefined) throw bad(`unknown dtype ${view.getUint8(40)}`)
  const frame: Frame = {
    type,
    flags: view.getUint16(2, true),
    session: readHex(bytes, 4),
    epoch: view.getUint32(20, true),
    step: view.getUint32(24, true),
    position: view.getUint32(28, true),
    rows: view.getUint32(32, true),
    columns: view.getUint32(36, true),
    dtype,
    payload: bytes.subarray(FRAME_HEADER_BYTES),
  }
  checkShape(frame)
  return frame
}

function checkShape(frame: Frame): void {
  const { type, dtype, rows, columns, payload } = frame
  const isTensor = dtype === 'u32' || dtype === 'f32' || dtype === 'f16'
  if (isTensor !== (type === 'step')) throw bad(`a ${type} frame with ${dtype} data`)
  if (dtype === 'none' && payload.byteLength !== 0) throw bad(`${payload.byteLength} bytes in a frame without data`)
  if (dtype === 'json' && payload.byteLength > MAX_JSON_FRAME_BYTES) {
    throw bad(`a message of ${payload.byteLength} bytes exceeds ${MAX_JSON_FRAME_BYTES}`)
  }
  if (isTensor) {
    if (rows < 1 || rows > MAX_STEP_ROWS) throw bad(`${rows} rows in a step (1 to ${MAX_STEP_ROWS})`)
    if (columns < 1 || columns > MAX_HIDDEN_SIZE) throw bad(`${columns} columns in a step (1 to ${MAX_HIDDEN_SIZE})`)
    if (dtype === 'u32' && columns !== 1) throw bad(`${columns} columns of token ids (expected 1)`)
    const expected = rows * columns * (dtype === 'f16' ? 2 : 4)
    if ((frame.flags & FLAG_ALL_ROWS) !== 0) checkAllRows(frame)
    if (payload.byteLength !== expected) {
      throw bad(`a step of ${rows} × ${columns} ${dtype} says ${expected} bytes and has ${payload.byteLength}`)
    }
  }
  if (dtype === 'logits') {
    if (type !== 'logits') throw bad(`a ${type} frame with logits data`)
    if (columns < 1 || columns > MAX_VOCAB_SIZE) throw bad(`${columns} logits (1 to ${MAX_VOCAB_SIZE})`)
    const count = logitsRows(frame)
    if (count < 1 || count > MAX_LOGITS_ROWS) throw bad(`logits of ${count} rows (1 to ${MAX_LOGITS_ROWS})`)
    const expected = count * logitsRowBytes(columns)
    if (payload.byteLength !== expected) {
      throw bad(`${count} rows of ${columns} logits say ${expected} bytes and have ${payload.byteLength}`)
    }
  }
}

function checkAllRows({ flags, rows }: Frame): void {
  const topK = flags & FLAG_TOP_K_MASK
  if (rows > MAX_LOGITS_ROWS) throw bad(`logits of ${rows} rows are asked (1 to ${MAX_LOGITS_ROWS})`)
  if (topK < 1 || topK > MAX_TOP_K) throw bad(`${topK} logits of each row are asked (1 to ${MAX_TOP_K})`)
}

/** How many rows of logits a frame holds. */
function logitsRows({ flags, rows }: Frame): number {
  return (flags & FLAG_ALL_ROWS) === 0 ? 1 : rows
}

/** Parsed JSON of a frame: an object. @throws SwarmError BAD_FRAME */
export function readJson(frame: Frame): Record<string, unknown> {
  if (frame.dtype !== 'json') throw bad(`a ${frame.type} frame without a message`)
  try {
    const value: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(frame.payload))
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>
  } catch {
    // falls through to the one refusal below
  }
  throw bad(`the message of a ${frame.type} frame is not a JSON object`)
}

export function tokensPayload(tokens: Uint32Array): Uint8Array {
  const bytes = new Uint8Array(tokens.length * 4)
  const view = new DataView(bytes.buffer)
  tokens.forEach((token, i) => view.setUint32(i * 4, token, true))
  return bytes
}

export function readTokens(frame: Frame): Uint32Array {
  if (frame.dtype !== 'u32') throw bad(`expected token ids, got ${frame.dtype}`)
  const view = new DataView(frame.payload.buffer, frame.payload.byteOffset, frame.payload.byteLength)
  return Uint32Array.from({ length: frame.rows }, (_, i) => view.getUint32(i * 4, true))
}

/** f32 values as bytes. All platforms that run this are little-endian; `readHidden` copies, so alignment is free. */
export function hiddenPayload(hidden: Float32Array): Uint8Array {
  return new Uint8Array(hidden.buffer, hidden.byteOffset, hidden.byteLength)
}

export function readHidden(frame: Frame): Float32Array {
  if (frame.dtype !== 'f32') throw bad(`expected f32 hidden states, got ${frame.dtype}`)
  const copy = new Float32Array(frame.rows * frame.columns)
  new Uint8Array(copy.buffer).set(frame.payload)
  return copy
}

/** @throws SwarmError NOT_FINITE: a NaN or Inf would spread to every later token of the session. */
export function assertFinite(values: Float32Array): void {
  for (let i = 0; i < values.length; i += 1) {
    if (!Number.isFinite(values[i])) {
      throw new SwarmError('NOT_FINITE', `value ${i} of ${values.length} hidden states is ${values[i]}`)
    }
  }
}

/** Of each row: logSumExp f64, vocabSize u32, zero u32, then k ids u32, then k values f32. */
const LOGITS_PREFIX_BYTES = 16

export function logitsPayload(row: LogitsRow): Uint8Array {
  const k = row.ids.length
  const bytes = new Uint8Array(LOGITS_PREFIX_BYTES + k * 8)
  const view = new DataView(bytes.buffer)
  view.setFloat64(0, row.logSumExp, true)
  view.setUint32(8, row.vocabSize, true)
  for (let i = 0; i < k; i += 1) {
    view.setUint32(LOGITS_PREFIX_BYTES + i * 4, row.ids[i] ?? 0, true)
    view.setFloat32(LOGITS_PREFIX_BYTES + (k + i) * 4, row.values[i] ?? 0, true)
  }
  return bytes
}

/** Of several rows, each with as many logits. */
export function logitsRowsPayload(rows: readonly LogitsRow[]): Uint8Array {
  const each = rows.map(logitsPayload)
  const bytes = new Uint8Array(each.reduce((sum, { length }) => sum + length, 0))
  let at = 0
  for (const part of each) {
    bytes.set(part, at)
    at += part.length
  }
  return bytes
}

/** One row, or with FLAG_ALL_ROWS as many as the frame says. @throws SwarmError BAD_FRAME, NOT_FINITE */
export function readLogits(frame: Frame): LogitsRow[] {
  if (frame.dtype !== 'logits') throw bad(`expected logits, got ${frame.dtype}`)
  const { payload, columns } = frame
  const size = logitsRowBytes(columns)
  return Array.from({ length: logitsRows(frame) }, (_, i) =>
    readRow(payload.subarray(i * size, (i + 1) * size), columns),
  )
}

function logitsRowBytes(columns: number): number {
  return LOGITS_PREFIX_BYTES + columns * 8
}

function readRow(payload: Uint8Array, k: number): LogitsRow {
  const view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength)
  const row: LogitsRow = {
    logSumExp: view.getFloat64(0, true),
    vocabSize: view.getUint32(8, true),
    ids: Uint32Array.from({ length: k }, (_, i) => view.getUint32(LOGITS_PREFIX_BYTES + i * 4, true)),
    values: Float32Array.from({ length: k }, (_, i) => view.getFloat32(LOGITS_PREFIX_BYTES + (k + i) * 4, true)),
  }
  if (!Number.isFinite(row.logSumExp)) throw new SwarmError('NOT_FINITE', `log-sum-exp is ${row.logSumExp}`)
  if (row.vocabSize < k || row.vocabSize > MAX_VOCAB_SIZE) throw bad(`${k} logits of a vocabulary of ${row.vocabSize}`)
  for (let i = 0; i < k; i += 1) {
    const id = row.ids[i] as number
    if (id >= row.vocabSize) throw bad(`token id ${id} outside a vocabulary of ${row.vocabSize}`)
    if (!Number.isFinite(row.values[i])) throw new SwarmError('NOT_FINITE', `logit of token ${id} is ${row.values[i]}`)
  }
  return row
}

function bad(message: string): SwarmError {
  const code: ErrorCode = 'BAD_FRAME'
  return new SwarmError(code, message)
}

function writeHex(bytes: Uint8Array, offset: number, hex: string): void {
  if (!/^[0-9a-f]{32}$/.test(hex)) throw new Error(`bug: session id ${hex} is not 32 hex digits`)
  for (let i = 0; i < 16; i += 1) bytes[offset + i] = Number.parseInt(hex.slice(i * 2, i * 2 + 2), 16)
}

function readHex(bytes: Uint8Array, offset: number): string {
  let hex = ''
  for (let i = 0; i < 16; i += 1) hex += (bytes[offset + i] as number).toString(16).padStart(2, '0')
  return hex
}
