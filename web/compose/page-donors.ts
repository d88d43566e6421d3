/**
 * Donors of this page: the donor part is loaded when a plan is first asked for. The token goes along only where the model
 * is read from the configured hub; a relay's mirror never sees it.
 */
import type { ServingNode } from '../../net/types.ts'
import type { DonorDefaults } from '../../swarm/app-config.ts'
import { fromPlainError } from '../../swarm/errors.ts'
import type { PeerRecord } from '../../swarm/peer-record.ts'
import type { PowerPort } from '../donor/pause-control.ts'
import type { Donor } from '../donor/state.ts'
// oxlint-disable-next-line import/default -- Vite makes the default export: the built worker's address
import workerUrl from '../donor/worker.ts?worker&url'
import type { DonorChoices, DonorPort } from '../ui/state/ports.ts'
import type { PageHandle } from './handle.ts'
import type { PageKept } from './page-kept.ts'
import type { PageConfig } from './page-config.ts'
import type { HubAccess } from './page-prompts.ts'
import type { PageSwarm } from './page-swarm.ts'
import { startWorker } from './trusted-worker.ts'

export class PageDonors implements DonorPort {
  readonly defaults: DonorDefaults
  readonly #config: PageConfig
  readonly #swarm: PageSwarm
  readonly #hub: HubAccess
  readonly #kept: PageKept
  readonly #power: PowerPort
  /** The serving peer of the donor that runs, or ran last. */
  #node: ServingNode | null = null

  constructor(config: PageConfig, swarm: PageSwarm, hub: HubAccess, kept: PageKept, power: PowerPort) {
    this.defaults = config.donor
    this.#config = config
    this.#swarm = swarm
    this.#hub = hub
    this.#kept = kept
    this.#power = power
  }

  /** @throws SwarmError BAD_OPTION when the link does not make sense */
  async create({ model, ...choices }: DonorChoices): Promise<Donor> {
    const { linkError, app, tab } = this.#config
    if (linkError !== null) throw fromPlainError(linkError)
    const [{ createDonor }, { browserEnvironment }] = await Promise.all([
      import('../donor/donor.ts'),
      import('../donor/browser-environment.ts'),
      // A person is shown the blocks that the swarm lacks. Headless tabs choose at the start, without a second peer.
      tab === null ? this.#swarm.joinUnlessAsking() : null,
    ])
    const mayHaveToken = originOf(model.hubUrl) === originOf(this.#hub.hubUrl)
    const environment = browserEnvironment({
      config: app,
      tab,
      kept: this.#kept.weights,
      onKeptChange: () => this.#kept.changed(),
      startWorker: () => startWorker(workerUrl, 'donor'),
      hubToken: () => (mayHaveToken ? (this.#hub.token() ?? undefined) : undefined),
      knownRecords: (digest) => this.#knownRecords(digest),
      power: this.#power,
      netLog: (text) => console.debug(text),
    })
    const { repo, revision, hubUrl } = model
    return createDonor({
      model: { repo, revision, hubUrl },
      defaults: withChoices(this.defaults, choices),
      environment: {
        ...environment,
        join: async (options) => {
          const node = await environment.join(options)
          this.#node = node
          return node
        },
      },
    })
  }

  node(): ServingNode | null {
    return this.#node
  }

  peerId(): string | null {
    return this.#node?.peerId ?? null
  }

  /** Who is known here: to the serving peer once there is one, else to the asking one. */
  directory(): ReturnType<PageHandle['directory']> {
    const node = this.#node
    const records =
      node === null
        ? this.#swarm.snapshot().models.flatMap((model) => model.records)
        : node.directory.models().flatMap((model) => node.directory.records(model.digest))
    return records.map(({ peerId, span, state }) => ({ peerId, span, state }))
  }

  #knownRecords(digest: string): readonly PeerRecord[] {
    return this.#swarm.snapshot().models.find((model) => model.digest === digest)?.records ?? []
  }
}

/** What a person left open keeps what the server or the link says. */
function withChoices(defaults: DonorDefaults, choices: Omit<DonorChoices, 'model'>): DonorDefaults {
  const { numBlocks: _blocks, memoryGb: _memory, ...rest } = defaults
  return {
    ...rest,
    weights: choices.weights,
    ...(choices.numBlocks === null ? {} : { numBlocks: choices.numBlocks }),
    ...(choices.memoryGb === null ? {} : { memoryGb: choices.memoryGb }),
  }
}

function originOf(url: string): string {
  return new URL(url, location.href).origin
}
