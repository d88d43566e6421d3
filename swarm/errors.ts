/**
 * The one error class of the project. A message says what was tried, what was expected and what was got, in one line
 * with the numbers; `code` is stable and is what the page translates; `action` says what the person can do.
 * Expected outcomes (not found, no coverage) are values, not errors; bugs are plain `Error` through `assert`.
 */
export type ErrorCode =
  // environment
  | 'NO_WEBGPU'
  | 'NO_ADAPTER'
  | 'ADAPTER_TOO_SMALL'
  | 'GPU_LOST'
  | 'WRONG_RESULTS'
  | 'OUT_OF_MEMORY'
  | 'INSECURE_CONTEXT'
  | 'STORAGE_FULL'
  | 'NO_BROWSER'
  | 'PORT_TAKEN'
  | 'NODE_TOO_OLD'
  | 'SLOT_TAKEN'
  | 'IDENTITY_TAKEN'
  | 'CHAT_TAKEN'
  | 'PAGE_INCOMPLETE'
  // input
  | 'BAD_OPTION'
  | 'BAD_MULTIADDR'
  | 'EMPTY_PROMPT'
  | 'PROMPT_TOO_LONG'
  | 'NO_TOKENIZER'
  | 'BAD_TOKEN_ID'
  // model and hub
  | 'UNKNOWN_MODEL'
  | 'UNSUPPORTED_MODEL'
  | 'BAD_CONFIG'
  | 'BAD_SAFETENSORS'
  | 'BAD_TOKENIZER'
  | 'BAD_TEMPLATE'
  | 'HUB_UNREACHABLE'
  | 'HUB_UNAUTHORIZED'
  | 'HUB_GATED'
  | 'HUB_NOT_FOUND'
  | 'HUB_RATE_LIMITED'
  | 'HUB_ERROR'
  | 'HUB_BAD_RANGE'
  | 'HUB_CUT'
  | 'HUB_CHANGED'
  // swarm
  | 'NO_RELAY'
  | 'RELAY_REFUSED'
  | 'NO_ROUTE'
  | 'PEER_LOST'
  | 'PEER_TIMEOUT'
  | 'PEER_REFUSED'
  | 'DIAL_FAILED'
  | 'BAD_FRAME'
  | 'BAD_RECORD'
  | 'WRONG_VERSION'
  | 'WRONG_MODEL'
  | 'WRONG_PEER'
  | 'WRONG_POSITION'
  | 'NOT_FINITE'
  | 'CACHE_FULL'
  | 'BUSY'
  | 'NO_SESSION'
  | 'CONTEXT_FULL'
  | 'CANCELLED'

export interface SwarmErrorOptions {
  /** Whether doing the same again later, or with another peer, may succeed. */
  retryable?: boolean
  /** The peer whose fault or loss it is, where there is one. */
  peerId?: string
  /** One sentence: what the person can do. */
  action?: string
  /** Numbers and names for a translated message. */
  details?: Record<string, string | number | boolean | readonly number[]>
  cause?: unknown
}

export class SwarmError extends Error {
  override readonly name = 'SwarmError'
  readonly code: ErrorCode
  readonly retryable: boolean
  readonly peerId: string | undefined
  readonly action: string | undefined
  readonly details: Record<string, string | number | boolean | readonly number[]>

  constructor(code: ErrorCode, message: string, options: SwarmErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.code = code
    this.retryable = options.retryable ?? false
    this.peerId = options.peerId
    this.action = options.action
    this.details = options.details ?? {}
  }
}

/** A `SwarmError` as it crosses a worker or a stream: plain data that keeps the code. */
export interface PlainError {
  code: ErrorCode
  message: string
  retryable: boolean
  peerId?: string
  action?: string
  details?: SwarmError['details']
}

export function toPlainError(error: unknown): PlainError {
  if (error instanceof SwarmError) {
    return {
      code: error.code,
      message: error.message,
      retryable: error.retryable,
      details: error.details,
      ...(error.peerId === undefined ? {} : { peerId: error.peerId }),
      ...(error.action === undefined ? {} : { action: error.action }),
    }
  }
  return { code: 'BAD_FRAME', message: describeError(error), retryable: false }
}

export function fromPlainError(plain: PlainError): SwarmError {
  return new SwarmError(plain.code, plain.message, {
    retryable: plain.retryable,
    ...(plain.peerId === undefined ? {} : { peerId: plain.peerId }),
    ...(plain.action === undefined ? {} : { action: plain.action }),
    ...(plain.details === undefined ? {} : { details: plain.details }),
  })
}

/** Text of anything thrown. A failed WebSocket dial rejects with a value whose `message` may be undefined. */
export function describeError(error: unknown): string {
  if (error instanceof Error && typeof error.message === 'string' && error.message !== '') return error.message
  if (typeof error === 'string') return error
  const type = (error as { type?: unknown } | null)?.type
  return typeof type === 'string' ? `event ${type}` : 'unknown error'
}

/** What happened, then what the person can do; one line, no stack. */
export function errorSentence(error: { message: string; action?: string | undefined }): string {
  const message = error.message.replaceAll(/\s*\n\s*/g, ' ').trim()
  const what = /[.!?]$/.test(message) ? message : `${message}.`
  return error.action === undefined || error.action === '' ? what : `${what} ${error.action}`
}

/** For bugs, never for input: what it guards cannot be false in a correct program. */
export function assert(condition: boolean, message: string): asserts condition {
  if (!condition) throw new Error(`bug: ${message}`)
}
