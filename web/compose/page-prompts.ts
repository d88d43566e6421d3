/**
 * Prompting from the page: a model's small files from its hub, the tokenizer in a Worker, and one chat session a chat.
 * What only prompting needs is loaded when the first model is opened.
 */
import type { ChatSession } from '../../session/generate.ts'
import type { PrefixNamer } from '../../session/prefix-names.ts'
import type { GenerateEvent, GenerateRequest, PromptModel } from '../../session/types.ts'
import { SwarmError } from '../../swarm/errors.ts'
import { parseLlamaConfig } from '../../swarm/model/parse-config.ts'
import { makeModelId } from '../../swarm/model-info.ts'
import { modelKey } from '../ui/state/models.ts'
import type { ModelChoice, OpenedModel, PromptPort, PromptSession } from '../ui/state/ports.ts'
import { sha256 } from '../sha256.ts'
import type { PageSwarm } from './page-swarm.ts'

/** Sessions that keep KV cache at the hops; the one used longest ago is closed for a further chat. */
const MAX_KEPT_SESSIONS = 2

export interface HubAccess {
  /** The hub that the token belongs to. */
  hubUrl: string
  token(): string | null
}

export class PagePrompts implements PromptPort {
  readonly #swarm: PageSwarm
  readonly #hub: HubAccess
  readonly #opened = new Map<string, Promise<OpenedModel>>()
  /** Of all chats of this page, whatever the model. */
  readonly #prefixSecret = crypto.getRandomValues(new Uint8Array(32))

  constructor(swarm: PageSwarm, hub: HubAccess) {
    this.#swarm = swarm
    this.#hub = hub
  }

  open(model: ModelChoice): Promise<OpenedModel> {
    const key = modelKey(model)
    const known = this.#opened.get(key)
    if (known !== undefined) return known
    const opening = this.#open(model).catch((error: unknown) => {
      // Tried again next time: the hub may answer then, or a token may be there.
      this.#opened.delete(key)
      throw error
    })
    this.#opened.set(key, opening)
    return opening
  }

  async #open(choice: ModelChoice): Promise<OpenedModel> {
    const [{ openModel }, { loadPromptFiles, createPromptModel, createBrowserTextSandbox, PrefixNamer: Namer }] =
      await Promise.all([import('../../hub/source.ts'), import('./prompt-parts.ts')])
    const token = this.#hub.token()
    const source = await openModel({
      repo: choice.repo,
      revision: choice.revision,
      hubUrl: choice.hubUrl,
      tokenHubUrl: this.#hub.hubUrl,
      ...(token === null ? {} : { token }),
    })
    const files = await loadPromptFiles(source)
    const { numHiddenLayers } = parseLlamaConfig(files.config)
    const id = await makeModelId(source.repo, source.revision, numHiddenLayers, sha256)
    const model = await createPromptModel(files, id, createBrowserTextSandbox())
    this.#swarm.warm(id.digest)
    return new Opened(model, this.#swarm, new Namer(sha256, this.#prefixSecret))
  }
}

class Opened implements OpenedModel {
  readonly ref
  readonly digest
  readonly blocks
  readonly contextTokens
  readonly hasTokenizer
  readonly hasChatTemplate
  readonly defaults
  readonly #model: PromptModel
  readonly #swarm: PageSwarm
  readonly #prefixes: PrefixNamer
  readonly #sessions = new Map<string, KeptSession>()

  constructor(model: PromptModel, swarm: PageSwarm, prefixes: PrefixNamer) {
    this.#model = model
    this.#swarm = swarm
    this.#prefixes = prefixes
    this.ref = { repo: model.id.repo, revision: model.id.revision }
    this.digest = model.id.digest
    this.blocks = model.id.blocks
    this.contextTokens = model.maxPositionEmbeddings
    this.hasTokenizer = model.tokenizer !== null
    this.hasChatTemplate = model.hasChatTemplate
    this.defaults = model.defaults
  }

  async encode(messages: Parameters<OpenedModel['encode']>[0]): Promise<number[]> {
    const { preparePrompt } = await import('../../session/prompt.ts')
    const input = this.hasTokenizer
      ? ({ kind: 'chat', messages } as const)
      : ({ kind: 'ids', ids: parseIds(messages.at(-1)?.content ?? '') } as const)
    return (await preparePrompt(this.#model, input)).ids
  }

  decoder(): ReturnType<OpenedModel['decoder']> {
    return this.#model.tokenizer?.stream() ?? null
  }

  async session(chatId: string): Promise<PromptSession> {
    const known = this.#sessions.get(chatId)
    if (known !== undefined) {
      // The newest stands last.
      this.#sessions.delete(chatId)
      this.#sessions.set(chatId, known)
      return known
    }
    const [node, { ChatSession: Session }] = await Promise.all([
      this.#swarm.node(),
      import('../../session/generate.ts'),
    ])
    if (node.directory.records(this.digest).length === 0) {
      // Announced by nobody the relays know: the DHT may know more. The session waits for a route in any case.
      void node.refreshFromDht(this.digest).catch(() => 0)
    }
    for (const [oldest, session] of this.#sessions) {
      if (this.#sessions.size < MAX_KEPT_SESSIONS) break
      if (session.isBusy) continue
      this.#sessions.delete(oldest)
      // Before the next one is opened: a hop takes only so many sessions of one peer.
      await session.close()
    }
    const made = new KeptSession(
      new Session(node, this.#model, {
        now: () => performance.now(),
        randomBytes: (length) => crypto.getRandomValues(new Uint8Array(length)),
        prefixes: this.#prefixes,
      }),
    )
    this.#sessions.set(chatId, made)
    return made
  }

  async endSession(chatId: string): Promise<void> {
    const session = this.#sessions.get(chatId)
    this.#sessions.delete(chatId)
    await session?.close()
  }
}

/** A chat session that knows whether it is answering: only a resting one may be given up for another chat. */
class KeptSession implements PromptSession {
  isBusy = false
  readonly #session: ChatSession

  constructor(session: ChatSession) {
    this.#session = session
  }

  async *generate(request: GenerateRequest): AsyncGenerator<GenerateEvent> {
    this.isBusy = true
    try {
      yield* this.#session.generate(request)
    } finally {
      this.isBusy = false
    }
  }

  close(): Promise<void> {
    return this.#session.close()
  }
}

/** @throws SwarmError EMPTY_PROMPT, BAD_TOKEN_ID */
export function parseIds(text: string): number[] {
  const parts = text.split(/[\s,]+/).filter((part) => part !== '')
  if (parts.length === 0) throw new SwarmError('EMPTY_PROMPT', 'the prompt has no token ids')
  return parts.map((part) => {
    if (!/^\d{1,9}$/.test(part)) {
      throw new SwarmError('BAD_TOKEN_ID', `"${part.slice(0, 20)}" is not a token id`, {
        action: 'Write whole numbers separated by commas, such as 1, 2, 3.',
      })
    }
    return Number(part)
  })
}
