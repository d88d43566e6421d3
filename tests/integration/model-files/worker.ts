/** Runs the product's loader in a Worker of a real tab for `chromium.test.ts`, with a sink that only digests. */
import { loadPromptFiles } from '../../../hub/prompt-files.ts'
import { openModel } from '../../../hub/source.ts'
import { toPlainError } from '../../../swarm/errors.ts'
import type { PlainError } from '../../../swarm/errors.ts'
import type { WeightFormat } from '../../../swarm/model/config.ts'
import { parseLlamaConfig } from '../../../swarm/model/parse-config.ts'
import type { Span } from '../../../swarm/span.ts'
import { toF32 } from '../../../web/engine/convert.ts'
import { storeRows } from '../../../web/engine/quantize.ts'
import { loadSpan } from '../../../web/weights/load-span.ts'
import { openWeightCache } from '../../../web/weights/opfs-cache.ts'

export interface LoadCall {
  hubUrl: string
  repo: string
  span: Span
  token?: string
  cache: boolean
  /** f32 by default. */
  format?: WeightFormat
}

export interface LoadAnswer {
  error?: PlainError
  fetchedBytes?: number
  totalBytes?: number
  convertedRows?: number
  /** Tensor name → sha-256 of its bytes, hex; of a matrix that is stored in another format, of its weights and then its scales. */
  digests?: Record<string, string>
  warnings: string[]
  tokenizer?: boolean
}

async function load(call: LoadCall): Promise<LoadAnswer> {
  const warnings: string[] = []
  try {
    const retry = { baseDelayMs: 1, maxDelayMs: 2, stallMs: 2_000 }
    const token = call.token === undefined ? {} : { token: call.token }
    const source = await openModel({ repo: call.repo, hubUrl: call.hubUrl, retry, ...token })
    const files = await loadPromptFiles(source)
    const onWarning = (warning: { message: string }): number => warnings.push(warning.message)
    const cache = call.cache ? await openWeightCache({ onWarning }) : null
    const parts = new Map<string, Uint8Array[]>()
    const format = call.format ?? 'f32'
    const add = (name: string, ...bytes: Uint8Array[]): number =>
      parts.set(name, [...(parts.get(name) ?? []), ...bytes.map((piece) => piece.slice())]).size
    const result = await loadSpan({
      source,
      config: parseLlamaConfig(files.config),
      span: call.span,
      cache,
      onProgress: () => undefined,
      sink: {
        format,
        put: async (spec, _dtype, bytes) => void add(spec.name, bytes),
        storeRows: (spec, dtype, bytes) => storeRows(toF32(dtype, bytes), spec.shape[1] as number, format, spec.name),
        putRows: async (spec, _firstRow, { weights, scales }) => void add(spec.name, weights, scales),
      },
    })
    const digests: Record<string, string> = {}
    for (const [name, pieces] of parts) {
      const bytes = await new Blob(pieces as Uint8Array<ArrayBuffer>[]).arrayBuffer()
      const hash = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes))
      digests[name] = Array.from(hash, (byte) => byte.toString(16).padStart(2, '0')).join('')
    }
    return { ...result, digests, warnings, tokenizer: files.tokenizerJson !== null }
  } catch (error) {
    return { error: toPlainError(error), warnings }
  }
}

addEventListener('message', (event: MessageEvent<LoadCall>) => {
  void load(event.data).then((answer) => postMessage(answer))
})
