/**
 * Which models can be asked and which one is chosen. Choosing loads the model's small files in the background, so that
 * the page can say before the first send how long the context is and whether there is a chat template.
 */
import { computed, effect, signal, type ReadonlySignal } from '@preact/signals'
import type { PlainError } from '../../../swarm/errors.ts'
import { pageError } from './page-error.ts'
import type { ModelChoice, OpenedModel, PromptPort } from './ports.ts'
import { coverageOfRecords, findModel, type Coverage, type SwarmState } from './swarm.ts'

export interface Models {
  readonly choices: ReadonlySignal<readonly ModelChoice[]>
  readonly chosen: ReadonlySignal<ModelChoice | null>
  readonly opened: ReadonlySignal<OpenedModel | null>
  /** Why the chosen model's files could not be read. */
  readonly problem: ReadonlySignal<PlainError | null>
  /** null while the swarm or the number of blocks is not known. */
  coverage(choice: ModelChoice): Coverage | null
  choose(key: string): void
  /** A model named by hand, `org/name` or `org/name@revision`, read from the page's hub. */
  name(text: string): void
  /** Loads the chosen model's small files, unless they are there. */
  prepare(): Promise<void>
}

export function modelKey(choice: { repo: string; revision: string }): string {
  return `${choice.repo}@${choice.revision}`
}

export function createModels(options: {
  offers: readonly ModelChoice[]
  /** Models named by the link; they are offered, not preferred blindly. */
  wanted: string | null
  hubUrl: string
  prompts: PromptPort
  swarm: SwarmState
}): Models {
  const { prompts, swarm } = options
  const named = signal<readonly ModelChoice[]>([])
  const chosenKey = signal<string | null>(null)
  const opened = signal<OpenedModel | null>(null)
  const problem = signal<PlainError | null>(null)
  let opening: { key: string; done: Promise<void> } | null = null

  const choices = computed<readonly ModelChoice[]>(() => {
    const known = [...options.offers, ...named.value]
    const seen = swarm.snapshot.value.models
      .filter((model) => model.records.length > 0 && !known.some((choice) => choice.repo === model.repo))
      .map((model): ModelChoice => ({
        repo: model.repo,
        revision: model.revision,
        hubUrl: options.hubUrl,
        blocks: model.blocks,
        sizeBytes: null,
        description: null,
        source: 'swarm',
        embedded: false,
      }))
    return [...known, ...seen]
  })
  const chosen = computed<ModelChoice | null>(
    () => choices.value.find((choice) => modelKey(choice) === chosenKey.value) ?? choices.value[0] ?? null,
  )
  effect(() => {
    // Another model: what was loaded of the last one is not its.
    const key = chosen.value === null ? null : modelKey(chosen.value)
    if (opening !== null && opening.key !== key) {
      opening = null
      opened.value = null
      problem.value = null
    }
  })
  const addNamed = (text: string) => {
    const [repo = '', revision = 'main'] = text.trim().split('@')
    if (repo === '') return
    const known = choices
      .peek()
      .find((choice) => choice.repo === repo && (!text.includes('@') || choice.revision === revision))
    if (known === undefined) {
      named.value = [
        ...named.peek(),
        {
          repo,
          revision,
          hubUrl: options.hubUrl,
          blocks: null,
          sizeBytes: null,
          description: null,
          source: 'named',
          embedded: false,
        },
      ]
    }
    chosenKey.value = modelKey(known ?? { repo, revision })
  }
  if (options.wanted !== null) addNamed(options.wanted)

  return {
    choices,
    chosen,
    opened,
    problem,
    coverage(choice) {
      const snapshot = swarm.snapshot.value
      if (snapshot.state !== 'joined') return null
      const model = findModel(snapshot, choice)
      const blocks = model?.blocks ?? choice.blocks
      return blocks === null ? null : coverageOfRecords(model?.records ?? [], blocks)
    },
    choose(key) {
      chosenKey.value = key
    },
    name: addNamed,
    async prepare() {
      const choice = chosen.peek()
      if (choice === null) return
      const key = modelKey(choice)
      if (opening?.key === key && problem.peek() === null) return await opening.done
      problem.value = null
      const done = prompts.open(choice).then(
        (model) => {
          if (opening?.key === key) opened.value = model
        },
        (error: unknown) => {
          if (opening?.key === key) problem.value = pageError(error)
        },
      )
      opening = { key, done }
      await done
    },
  }
}
