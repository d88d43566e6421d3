/**
 * `SpanRunner` in plain TypeScript: the numbers that the WebGPU engine is held to, and an honest engine for tests in Node. Obeys
 * the whole contract (budget, positions, failures), is exact in f64 and slow: for small models.
 */
import { SwarmError, toPlainError } from '../../swarm/errors.ts'
import { MAX_LOGITS_ROWS, MAX_STEP_ROWS } from '../../swarm/limits.ts'
import type { LlamaConfig } from '../../swarm/model/config.ts'
import type { Span } from '../../swarm/span.ts'
import { containsSpan, formatSpan, isValidSpan, spanLength } from '../../swarm/span.ts'
import type { LogitsRow, SpanRunner, StepFailure, StepInput, StepOutput } from '../../swarm/span-runner.ts'
import * as ops from './ops.ts'

/** Keys (turned) and values of the committed tokens of one block, `[tokens][kvHeads * headDim]`. */
interface BlockCache {
  k: Float64Array
  v: Float64Array
}

interface Session {
  span: Span
  maxTokens: number
  length: number
  blocks: BlockCache[]
  lastLogits: Float32Array | null
}

/**
 * `tensors` under their names in the checkpoint, as f32; needs those of `span` (see `spanTensors`). `frequencies` replaces the
 * rotary frequencies of the config.
 */
export function createReferenceRunner(
  config: LlamaConfig,
  tensors: ReadonlyMap<string, Float32Array>,
  span: Span,
  options: { cacheTokens: number; frequencies?: readonly number[] },
): SpanRunner {
  const frequencies = options.frequencies ?? ops.inverseFrequencies(config)
  const { hiddenSize, vocabSize, numHiddenLayers } = config
  const sessions = new Map<string, Session>()
  let tokenBlocksLeft = options.cacheTokens * spanLength(span)
  let disposed = false

  const tensor = (name: string): Float32Array => {
    const found = tensors.get(name)
    if (found === undefined) throw new Error(`bug: tensor ${name} was not given`)
    return found
  }
  const find = (id: string): Session => {
    if (disposed) throw new SwarmError('GPU_LOST', 'the runner was disposed', { retryable: true })
    const session = sessions.get(id)
    if (session === undefined) throw new SwarmError('NO_SESSION', `session ${id} is not open here`, { retryable: true })
    return session
  }

  function logitsOf(row: Float64Array): Float32Array {
    const normed = ops.rmsNorm(row, tensor('model.norm.weight'), config.rmsNormEps)
    const head = tensor(config.tieWordEmbeddings ? 'model.embed_tokens.weight' : 'lm_head.weight')
    return Float32Array.from(ops.matMul(normed, head, vocabSize, hiddenSize))
  }

  function runStep(input: StepInput): StepOutput {
    const session = find(input.session)
    checkStep(config, session, input)
    session.length = input.position
    const fromTokens = session.span.start === 0
    let x = fromTokens
      ? ops.embed(tensor('model.embed_tokens.weight'), hiddenSize, input.tokens!)
      : Float64Array.from(input.hidden!)
    for (let i = 0; i < session.blocks.length; i += 1) {
      x = runBlock(config, tensor, frequencies, session.span.start + i, x, session.blocks[i]!, session.length)
    }
    const output: StepOutput = { session: input.session, position: input.position, rows: input.rows, computeMs: 0 }
    let logits: Float32Array | null = null
    if (session.span.end !== numHiddenLayers) {
      output.hidden = refuseNotFinite(Float32Array.from(x), 'the hidden states')
    } else if (input.logits !== undefined) {
      const { rows = 1, topK } = input.logits
      const found: LogitsRow[] = []
      for (let row = input.rows - rows; row < input.rows; row += 1) {
        logits = refuseNotFinite(logitsOf(x.subarray(row * hiddenSize, (row + 1) * hiddenSize)), 'the logits')
        found.push(best(logits, topK))
      }
      output.logits = found.pop()!
      if (found.length > 0) output.earlierLogits = found
    }
    session.length += input.rows
    session.lastLogits = logits
    return output
  }

  return {
    span,
    hasHead: span.end === numHiddenLayers,
    async openSession(request) {
      if (disposed) throw new SwarmError('GPU_LOST', 'the runner was disposed', { retryable: true })
      if (!isValidSpan(request.span, numHiddenLayers) || !containsSpan(span, request.span)) {
        throw new SwarmError('NO_ROUTE', `blocks ${formatSpan(request.span)} of a runner of ${formatSpan(span)}`)
      }
      if (!(request.maxTokens >= 1 && request.maxTokens <= config.maxPositionEmbeddings)) {
        throw new SwarmError('CONTEXT_FULL', `${request.maxTokens} tokens of ${config.maxPositionEmbeddings}`)
      }
      if (sessions.has(request.session)) throw new SwarmError('BUSY', `session ${request.session} is already open`)
      const needed = request.maxTokens * spanLength(request.span)
      if (needed > tokenBlocksLeft)
        throw new SwarmError('CACHE_FULL', `${needed} of ${tokenBlocksLeft}`, { retryable: true })
      tokenBlocksLeft -= needed
      const width = config.numKeyValueHeads * config.headDim
      const blocks = Array.from({ length: spanLength(request.span) }, () => ({
        k: new Float64Array(request.maxTokens * width),
        v: new Float64Array(request.maxTokens * width),
      }))
      sessions.set(request.session, {
        span: request.span,
        maxTokens: request.maxTokens,
        length: 0,
        blocks,
        lastLogits: null,
      })
      return 0
    },
    async closeSession(id) {
      const session = sessions.get(id)
      if (session !== undefined) tokenBlocksLeft += session.maxTokens * spanLength(session.span)
      sessions.delete(id)
    },
    async truncateSession(id, length) {
      const session = find(id)
      if (!(length >= 0 && length <= session.length)) {
        throw new SwarmError('WRONG_POSITION', `${session.length} tokens cannot be cut to ${length}`)
      }
      if (length < session.length) session.lastLogits = null
      session.length = length
    },
    async step(batch) {
      if (disposed) throw new SwarmError('GPU_LOST', 'the runner was disposed', { retryable: true })
      const started = performance.now()
      const outputs = batch.map((input): StepOutput | StepFailure => {
        try {
          return runStep(input)
        } catch (error) {
          if (!(error instanceof SwarmError)) throw error
          return { session: input.session, position: input.position, error: toPlainError(error) }
        }
      })
      const computeMs = performance.now() - started
      return outputs.map((output) => ('error' in output ? output : { ...output, computeMs }))
    },
    async lastLogits(id, request) {
      const { lastLogits } = find(id)
      if (lastLogits === null) throw new SwarmError('NO_SESSION', `session ${id} has no logits`)
      return best(lastLogits, request.topK)
    },
    status: () => ({ span, sessions: sessions.size, cacheTokensLeft: Math.floor(tokenBlocksLeft / spanLength(span)) }),
    async dispose() {
      disposed = true
      sessions.clear()
    },
  }
}

function runBlock(
  config: LlamaConfig,
  tensor: (name: string) => Float32Array,
  frequencies: readonly number[],
  block: number,
  x: Float64Array,
  cache: BlockCache,
  position: number,
): Float64Array {
  const { hiddenSize, intermediateSize, numAttentionHeads: heads, numKeyValueHeads: kvHeads, headDim } = config
  const prefix = `model.layers.${block}.`
  const linear = (name: string, input: Float64Array, rows: number, width: number, bias: boolean): Float64Array =>
    ops.matMul(
      input,
      tensor(`${prefix}${name}.weight`),
      rows,
      width,
      bias ? tensor(`${prefix}${name}.bias`) : undefined,
    )
  const norm = (name: string, input: Float64Array): Float64Array =>
    ops.rmsNorm(input, tensor(`${prefix}${name}.weight`), config.rmsNormEps)

  const normed = norm('input_layernorm', x)
  const { attentionBias, mlpBias } = config
  const q = ops.rope(
    linear('self_attn.q_proj', normed, heads * headDim, hiddenSize, attentionBias),
    heads,
    frequencies,
    position,
  )
  const k = ops.rope(
    linear('self_attn.k_proj', normed, kvHeads * headDim, hiddenSize, attentionBias),
    kvHeads,
    frequencies,
    position,
  )
  const v = linear('self_attn.v_proj', normed, kvHeads * headDim, hiddenSize, attentionBias)
  const width = kvHeads * headDim
  cache.k.set(k, position * width)
  cache.v.set(v, position * width)
  const used = position * width + k.length
  const attended = ops.attention(q, cache.k.subarray(0, used), cache.v.subarray(0, used), position, {
    heads,
    kvHeads,
    headDim,
  })
  const afterAttention = ops.add(x, linear('self_attn.o_proj', attended, hiddenSize, heads * headDim, attentionBias))

  const mlpInput = norm('post_attention_layernorm', afterAttention)
  const gate = linear('mlp.gate_proj', mlpInput, intermediateSize, hiddenSize, mlpBias)
  const up = linear('mlp.up_proj', mlpInput, intermediateSize, hiddenSize, mlpBias)
  return ops.add(afterAttention, linear('mlp.down_proj', ops.siluMul(gate, up), hiddenSize, intermediateSize, mlpBias))
}

function checkStep(config: LlamaConfig, session: Session, input: StepInput): void {
  const { rows, position, tokens, hidden, cut, logits } = input
  const fail = (code: 'BAD_FRAME' | 'WRONG_POSITION' | 'CACHE_FULL' | 'BAD_TOKEN_ID', message: string): never => {
    throw new SwarmError(code, message)
  }
  if (!Number.isInteger(rows) || rows < 1 || rows > MAX_STEP_ROWS) fail('BAD_FRAME', `${rows} rows`)
  if (cut ? position > session.length : position !== session.length)
    fail('WRONG_POSITION', `position ${position}, the session is at ${session.length}`)
  if (position + rows > session.maxTokens) fail('CACHE_FULL', `${position + rows} of ${session.maxTokens} tokens`)
  if ((logits?.rows ?? 1) > Math.min(rows, MAX_LOGITS_ROWS)) fail('BAD_FRAME', `logits of ${logits?.rows} rows`)
  if (input.logits !== undefined && session.span.end !== config.numHiddenLayers) fail('BAD_FRAME', 'no head here')
  if (session.span.start === 0) {
    if (tokens?.length !== rows || hidden !== undefined) fail('BAD_FRAME', `${rows} token ids expected`)
    if (tokens!.some((id) => id >= config.vocabSize))
      fail('BAD_TOKEN_ID', `a token id is not below ${config.vocabSize}`)
  } else {
    if (hidden?.length !== rows * config.hiddenSize || tokens !== undefined) fail('BAD_FRAME', 'hidden states expected')
    refuseNotFinite(hidden!, 'the hidden states that came in')
  }
}

function refuseNotFinite(values: Float32Array, what: string): Float32Array {
  if (!values.every(Number.isFinite)) throw new SwarmError('NOT_FINITE', `${what} hold a value that is not finite`)
  return values
}

function best(logits: Float32Array, topK: number): LogitsRow {
  const ids = Uint32Array.from(ops.topK(logits, topK === 0 ? logits.length : topK))
  const values = Float32Array.from(ids, (id) => logits[id]!)
  return { ids, values, logSumExp: ops.logSumExp(logits), vocabSize: logits.length }
}
