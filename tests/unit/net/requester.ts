/** The requesting side of a session in tests: opens hops, sends steps, reads answers. Over any kind of `FrameStream`. */
import {
  emptyFrame,
  FLAG_WANTS_LOGITS,
  hiddenPayload,
  jsonFrame,
  readJson,
  tokensPayload,
  type Frame,
  type OpenMessage,
} from '../../../swarm/codec.ts'
import { PROTOCOL_VERSION } from '../../../swarm/protocol.ts'
import type { FrameStream } from '../../../net/types.ts'

export const SESSION = '0123456789abcdef0123456789abcdef'

export function openFrame(message: Partial<OpenMessage>, session = SESSION, epoch = 0): Frame {
  return jsonFrame('open', session, epoch, {
    version: PROTOCOL_VERSION,
    modelDigest: 'd'.repeat(32),
    start: 0,
    end: 3,
    previous: 'client',
    next: null,
    maxTokens: 100,
    dtype: 'f32',
    ...message,
  })
}

export function tokensFrame(
  tokens: number[],
  at: { step: number; position: number; topK?: number; epoch?: number; session?: string },
): Frame {
  const flags = at.topK === undefined ? 0 : FLAG_WANTS_LOGITS | at.topK
  const base = {
    ...emptyFrame('step', at.session ?? SESSION, at.epoch ?? 0),
    step: at.step,
    position: at.position,
    flags,
  }
  return { ...base, rows: tokens.length, columns: 1, dtype: 'u32', payload: tokensPayload(Uint32Array.from(tokens)) }
}

export function hiddenFrame(
  values: number[][],
  at: { step: number; position: number; topK?: number; epoch?: number },
): Frame {
  const flags = at.topK === undefined ? 0 : FLAG_WANTS_LOGITS | at.topK
  const base = { ...emptyFrame('step', SESSION, at.epoch ?? 0), step: at.step, position: at.position, flags }
  const payload = hiddenPayload(Float32Array.from(values.flat()))
  return { ...base, rows: values.length, columns: values[0]?.length ?? 0, dtype: 'f32', payload }
}

/** Next frame; fails the test when the stream ended instead. */
export async function next(stream: FrameStream, timeoutMs = 10_000): Promise<Frame> {
  const frame = await stream.receive(AbortSignal.timeout(timeoutMs))
  if (frame === null) throw new Error('the stream ended')
  return frame
}

export async function nextFailure(
  stream: FrameStream,
): Promise<{ code: unknown; status: unknown; peerId: unknown; message: unknown; retryable: unknown }> {
  const frame = await next(stream)
  if (frame.type !== 'failure') throw new Error(`expected a failure, got ${frame.type}`)
  const { code, status, peerId, message, retryable } = readJson(frame)
  return { code, status, peerId, message, retryable }
}
