/** Runs the product's loader in a Worker of a real tab for `chromium.test.ts`, with a sink that only digests. */
import { loadPromptFiles } from '../../../hub/prompt-files.ts'
import { openModel } from '../../../hub/source.ts'
import { toPlainError } from '../../../swarm/errors.ts'
import type { PlainError } from '../../../swarm/errors.ts'
import { parseLlamaConfig } from '../../../swarm/model/parse-config.ts'
import type { Span } from '../../../swarm/span.ts'
import { loadSpan } from '../../../web/weights/load-span.ts'
import { openWeightCache } from '../../../web/weights/opfs-cache.ts'

export interface LoadCall {
  hubUrl: string
  repo: string
  span: Span
  token?: string
  cache: boolean
}

export interface LoadAnswer {
  error?: PlainError
  fetchedBytes?: number
  totalBytes?: number
  /** Tensor name → sha-256 of its bytes, hex. */
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
    const result = await loadSpan({
      source,
      config: parseLlamaConfig(files.config),
      span: call.span,
      cache,
      onProgress: () => undefined,
      sink: {
        put: async (spec, _dtype, bytes) => {
          parts.set(spec.name, [...(parts.get(spec.name) ?? []), bytes.slice()])
        },
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
