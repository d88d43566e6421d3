/**
 * A swarm in memory: records travel with random delays, spans load in virtual time, and the truth (which runners really
 * take sessions) is kept beside what records say, so that tests can see a hole that nobody announced.
 */
import type { ModelSource } from '../../../../hub/source.ts'
import type { AnnouncedFields, InferenceServer, ServingNode } from '../../../../net/types.ts'
import type { DonorDefaults } from '../../../../swarm/app-config.ts'
import { SwarmError } from '../../../../swarm/errors.ts'
import type { PeerRecord } from '../../../../swarm/peer-record.ts'
import type { SpanRunner } from '../../../../swarm/span-runner.ts'
import { parseLlamaConfig } from '../../../../swarm/model/parse-config.ts'
import { unitWeightsOf } from '../../../../swarm/model/unit-weights.ts'
import { blocksOf, type Span } from '../../../../swarm/span.ts'
import { createDonor } from '../../../../web/donor/donor.ts'
import type { Engine, EngineLoad } from '../../../../web/donor/engine.ts'
import type { DonorEnvironment, PageEvent } from '../../../../web/donor/environment.ts'
import type { PauseRules, PowerConditions } from '../../../../web/donor/pause-control.ts'
import type { Donor } from '../../../../web/donor/state.ts'
import { VirtualClock } from './virtual-clock.ts'

export interface SwarmOptions {
  blocks: number
  random: () => number
  /** Record delay, ms. */
  delay?: [number, number]
  /** Loading a span, ms. */
  loadMs?: [number, number]
  /** off: records are found only by asking the DHT, and late by its own refresh. */
  directory?: 'on' | 'off'
}

export class FakeSwarm {
  readonly clock = new VirtualClock()
  readonly blocks: number
  readonly random: () => number
  readonly delay: [number, number]
  readonly loadMs: [number, number]
  readonly directory: 'on' | 'off'
  readonly donors: FakeDonor[] = []
  readonly nodes = new Set<FakeNode>()
  /** Runners that were let go voluntarily while nobody else held their blocks. */
  readonly holesOpened: string[] = []
  /** Called whenever somebody begins or ends taking sessions. */
  onServing: () => void = () => undefined

  constructor({ blocks, random, delay = [5, 60], loadMs = [500, 3_000], directory = 'on' }: SwarmOptions) {
    this.blocks = blocks
    this.random = random
    this.delay = delay
    this.loadMs = loadMs
    this.directory = directory
  }

  donor(defaults: DonorDefaults, options: FakeDonorOptions = {}): FakeDonor {
    const donor = new FakeDonor(this, this.donors.length, defaults, options)
    this.donors.push(donor)
    return donor
  }

  between([least, most]: [number, number]): number {
    return least + (most - least) * this.random()
  }

  publish(record: PeerRecord): void {
    for (const node of this.nodes) {
      this.clock.after(this.between(this.delay), () => node.deliver(record))
    }
  }

  /** Blocks that nobody really serves. */
  missing(): number[] {
    const held = new Set([...this.nodes].flatMap((node) => node.served().flatMap(blocksOf)))
    return blocksOf({ start: 0, end: this.blocks }).filter((block) => !held.has(block))
  }

  spans(): string[] {
    return this.donors
      .filter((donor) => donor.node !== null && this.nodes.has(donor.node))
      .map((donor) => donor.donor.state())
      .flatMap((state) => (state.status === 'serving' ? [`${state.span.start}:${state.span.end}`] : []))
  }
}

export interface FakeDonorOptions {
  /** Block-steps a second. */
  speed?: number
  deviceMemoryGb?: number
  /** What the page knows before the donor has joined. */
  knownRecords?: readonly PeerRecord[]
  loadFails?: (span: Span) => SwarmError | null
  /** What the canary finds. */
  checkFails?: () => SwarmError | null
  exact?: boolean
  /** Shared between donors that run one after another on one machine. */
  speeds?: Map<string, number>
  /** Each load chooses kernels anew. */
  isTuned?: boolean
  identityTaken?: boolean
}

export class FakeDonor {
  readonly donor: Donor
  readonly printed: string[] = []
  readonly loads: Span[] = []
  measured = 0
  /** Block-steps a second, as measured from now on. */
  speed: number
  /** The next ones, before that. */
  speeds: number[] = []
  measureFails: SwarmError | null = null
  checked = 0
  engines: FakeEngine[] = []
  node: FakeNode | null = null
  pageEvent: (event: PageEvent) => void = () => undefined
  readonly power = new FakePower()
  readonly #swarm: FakeSwarm
  readonly #options: FakeDonorOptions

  constructor(swarm: FakeSwarm, index: number, defaults: DonorDefaults, options: FakeDonorOptions) {
    this.#swarm = swarm
    this.#options = options
    this.speed = options.speed ?? 100
    this.donor = createDonor({
      model: { repo: 'org/model', revision: null, hubUrl: 'http://hub.test' },
      defaults,
      environment: this.#environment(index),
    })
  }

  get id(): string {
    return this.node?.peerId ?? ''
  }

  lines(pattern: RegExp): string[] {
    return this.printed.filter((line) => pattern.test(line))
  }

  servedSpan(): Span | null {
    const state = this.donor.state()
    return state.status === 'serving' ? state.span : null
  }

  /** The tab is closed: no goodbye, the relay sees its connection end. */
  vanish(): void {
    this.pageEvent('hide')
  }

  #environment(index: number): DonorEnvironment {
    const swarm = this.#swarm
    const options = this.#options
    const speeds = options.speeds ?? new Map<string, number>()
    return {
      clock: swarm.clock,
      random: swarm.random,
      print: (text) => this.printed.push(text),
      sha256: () => Promise.resolve(new Uint8Array(32)),
      openEngine: () => {
        const engine = new FakeEngine(swarm, this, options)
        this.engines.push(engine)
        return Promise.resolve(engine)
      },
      openModel: () => Promise.resolve(fakeSource(swarm.blocks)),
      countFiles: () => Promise.resolve({ totalBytes: 100, cachedBytes: 40, downloadBytes: 60 }),
      hubToken: () => undefined,
      holdWeights: () => Promise.resolve(() => Promise.resolve()),
      claimIdentity: () =>
        options.identityTaken === true
          ? Promise.reject(new SwarmError('IDENTITY_TAKEN', 'Another tab donates under this identity already.'))
          : Promise.resolve({ seed: new Uint8Array(32), release: () => undefined }),
      join: async () => {
        await swarm.clock.sleep(20)
        this.node = new FakeNode(swarm, `peer-${String(index).padStart(2, '0')}`)
        return this.node
      },
      speeds: {
        get: (key) => Promise.resolve(speeds.get(key) ?? null),
        set: (key, value) => {
          speeds.set(key, value)
          return Promise.resolve()
        },
      },
      deviceMemoryGb: options.deviceMemoryGb ?? 8,
      knownRecords: () => options.knownRecords ?? [],
      directory: swarm.directory,
      power: this.power,
      stayUnthrottled: () => () => undefined,
      onPageEvent: (listener) => {
        this.pageEvent = listener
        return () => undefined
      },
    }
  }
}

/** A laptop whose owner has agreed to pauses; `set` is the world, or the owner's second thought. */
export class FakePower {
  #conditions: PowerConditions = { onBattery: false, isMetered: false }
  #rules: PauseRules = { onBattery: true, whenMetered: true }
  readonly #listeners = new Set<() => void>()

  conditions = (): PowerConditions => this.#conditions
  rules = (): PauseRules => this.#rules
  onChange = (listener: () => void): (() => void) => {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  set(conditions: Partial<PowerConditions>, rules: Partial<PauseRules> = {}): void {
    this.#conditions = { ...this.#conditions, ...conditions }
    this.#rules = { ...this.#rules, ...rules }
    for (const listener of this.#listeners) listener()
  }
}

export class FakeNode implements ServingNode {
  readonly peerId: string
  readonly #swarm: FakeSwarm
  readonly #records = new Map<string, PeerRecord>()
  readonly #listeners = new Set<() => void>()
  readonly #runners = new Set<SpanRunner>()
  #fields: AnnouncedFields | null = null
  #seq = 0
  #isGone = false
  #isFrozen = false
  readonly retired: Span[] = []
  sessions = 0
  /** Of them, those that somebody waits for. */
  active = 0
  /** Why new sessions are refused. */
  refusal: string | null = null
  readonly handedOver: string[] = []

  constructor(swarm: FakeSwarm, peerId: string) {
    this.#swarm = swarm
    this.peerId = peerId
    swarm.nodes.add(this)
    // The relay's first answer: everything that is fresh.
    const known = [...swarm.nodes].flatMap((node) => node.#own())
    swarm.clock.after(swarm.between(swarm.delay), () => known.forEach((record) => this.deliver(record)))
  }

  readonly directory: ServingNode['directory'] = {
    records: () => [...this.#records.values()].filter((record) => record.state !== 'gone'),
    get: (peerId) => this.#records.get(peerId),
    models: () => [],
    onChange: (listener) => {
      this.#listeners.add(listener)
      return () => this.#listeners.delete(listener)
    },
  }

  readonly announcer: ServingNode['announcer'] = {
    announce: (fields) => {
      if (this.#isGone) return
      this.#fields = fields
      if (!this.#isFrozen) this.#publish(fields)
    },
    goodbye: () => {
      this.leaveNow()
      return Promise.resolve()
    },
  }

  deliver(record: PeerRecord): void {
    const known = this.#records.get(record.peerId)
    if (known !== undefined && known.seq >= record.seq) return
    this.#records.set(record.peerId, record)
    for (const listener of this.#listeners) listener()
  }

  freeze(): void {
    if (this.#fields !== null) this.#publish({ ...this.#fields, state: 'gone' })
    this.#isFrozen = true
  }

  wake(): void {
    this.#isFrozen = false
    if (this.#fields !== null) this.#publish(this.#fields)
  }

  leaveNow(): void {
    if (this.#isGone) return
    this.#isGone = true
    this.#runners.clear()
    this.#swarm.nodes.delete(this)
    if (this.#fields !== null) this.#publish({ ...this.#fields, state: 'gone' })
    this.#swarm.onServing()
  }

  served(): Span[] {
    return this.refusal !== null ? [] : [...this.#runners].map((runner) => runner.span)
  }

  record(): AnnouncedFields | null {
    return this.#fields
  }

  published(): string | undefined {
    return this.#fields?.state
  }

  createServer(): InferenceServer {
    return {
      addRunner: (runner) => {
        this.#runners.add(runner)
        this.#swarm.onServing()
      },
      drainRunner: async (runner, { signal }) => {
        this.#letGo(runner)
        // Answers of this donor's end never: only what cuts the drain short ends it.
        while (this.active > 0 && !signal.aborted) await this.#swarm.clock.sleep(100)
      },
      takeBackRunner: (runner) => {
        this.#runners.add(runner)
        this.#swarm.onServing()
      },
      retireRunner: async (runner) => {
        await this.#swarm.clock.sleep(30)
        this.retired.push(runner.span)
        this.#letGo(runner)
      },
      refuseSessions: (because) => {
        this.refusal = because
        this.#swarm.onServing()
      },
      handOver: async (because) => {
        await this.#swarm.clock.sleep(30)
        this.handedOver.push(because)
        this.sessions = 0
        this.active = 0
      },
      activeSessions: () => this.active,
      stats: () => ({
        sessions: this.sessions,
        sessionBlocks: 0,
        stepsServed: 0,
        tokensServed: 0,
        bytesIn: 0,
        bytesOut: 0,
        relayedIn: 0,
        relayedOut: 0,
        computeMs: 0,
      }),
      onChange: () => () => undefined,
      stop: () => Promise.resolve(),
    }
  }

  #letGo(runner: SpanRunner): void {
    if (!this.#runners.has(runner)) return
    const before = this.#swarm.missing().length
    this.#runners.delete(runner)
    if (this.#swarm.missing().length > before) this.#swarm.holesOpened.push(`${this.peerId} ${runner.span.start}`)
    this.#swarm.onServing()
  }

  now = (): number => this.#swarm.clock.now()
  relays = () => [{ address: 'relay', state: 'connected' as const }]
  onRelayChange = () => () => undefined
  openInference = () => Promise.reject(new Error('not here'))
  openPush = () => Promise.reject(new Error('not here'))
  warm = () => undefined
  follow = () => undefined
  onPeerLost = () => () => undefined
  refreshFromDht = async () => {
    await this.#swarm.clock.sleep(300)
    for (const node of this.#swarm.nodes) node.#own().forEach((record) => this.deliver(record))
    return 0
  }
  rttMs = () => null
  stop(): Promise<void> {
    this.leaveNow()
    return Promise.resolve()
  }

  #own(): PeerRecord[] {
    return this.#fields === null ? [] : [this.#sign(this.#fields)]
  }

  #publish(fields: AnnouncedFields): void {
    this.#seq += 1
    this.#swarm.publish(this.#sign(fields))
  }

  #sign(fields: AnnouncedFields): PeerRecord {
    return { ...fields, v: 1, peerId: this.peerId, seq: this.#seq, issuedAt: this.now(), ttlMs: 90_000, relays: [] }
  }
}

export class FakeEngine implements Engine {
  readonly adapter = { description: 'fake adapter', backend: 'software', reason: 'asked' } as const
  bytesFetched = 0
  isClosed = false
  disposed: Span[] = []
  readonly #swarm: FakeSwarm
  readonly #owner: FakeDonor
  readonly #options: FakeDonorOptions
  #onLost: (reason: string) => void = () => undefined
  #failLoad: ((reason: string) => void) | null = null

  constructor(swarm: FakeSwarm, owner: FakeDonor, options: FakeDonorOptions) {
    this.#swarm = swarm
    this.#owner = owner
    this.#options = options
  }

  async load({ span, cacheTokens, onProgress, onTuned, signal }: EngineLoad): Promise<SpanRunner> {
    this.#owner.loads.push(span)
    const report = (doneBytes: number): void =>
      onProgress({ phase: 'download', doneBytes, totalBytes: 2, cachedBytes: 0, bytesPerSecond: 1, etaSeconds: 1 })
    report(0)
    await new Promise<void>((resolve, reject) => {
      const cancel = this.#swarm.clock.after(this.#swarm.between(this.#swarm.loadMs), () => {
        signal.removeEventListener('abort', stop)
        resolve()
      })
      const stop = (): void => {
        cancel()
        reject(new SwarmError('CANCELLED', 'loading was cancelled'))
      }
      if (signal.aborted) stop()
      signal.addEventListener('abort', stop, { once: true })
      this.#failLoad = (reason) => {
        cancel()
        reject(new SwarmError('GPU_LOST', reason))
      }
    })
    this.#failLoad = null
    const failure = this.#options.loadFails?.(span) ?? null
    if (failure !== null) throw failure
    report(2)
    if (this.#options.isTuned === true) onTuned()
    return this.#runner(span, cacheTokens)
  }

  check(): Promise<boolean> {
    this.#owner.checked += 1
    const failure = this.#options.checkFails?.() ?? null
    return failure === null ? Promise.resolve(this.#options.exact ?? true) : Promise.reject(failure)
  }

  measure(): Promise<number> {
    this.#owner.measured += 1
    const { measureFails } = this.#owner
    const speed = this.#owner.speeds.shift() ?? this.#owner.speed
    return measureFails === null ? Promise.resolve(speed) : Promise.reject(measureFails)
  }

  onLost(listener: (reason: string) => void): void {
    this.#onLost = listener
  }
  onWarning(): void {}
  onNote(): void {}
  /** As the worker's client does it: a load under way fails, and whoever listens is told. */
  lose(reason: string): void {
    this.#failLoad?.(reason)
    this.#failLoad = null
    this.#onLost(reason)
  }
  close(): void {
    this.isClosed = true
  }

  #runner(span: Span, cacheTokensLeft: number): SpanRunner {
    const unused = (): Promise<never> => Promise.reject(new Error('not used here'))
    return {
      span,
      hasHead: span.end === this.#swarm.blocks,
      openSession: unused,
      closeSession: unused,
      truncateSession: unused,
      step: unused,
      lastLogits: unused,
      status: () => ({ span, sessions: 0, cacheTokensLeft }),
      dispose: () => {
        this.disposed.push(span)
        return Promise.resolve()
      },
    }
  }
}

function fakeSource(blocks: number): ModelSource {
  return {
    repo: 'org/model',
    revision: 'c'.repeat(40),
    hubUrl: 'http://hub.test',
    bytesFetched: 7,
    json: () => Promise.resolve(null),
    text: (file) =>
      Promise.resolve(file === 'config.json' ? JSON.stringify({ ...CONFIG, num_hidden_layers: blocks }) : null),
    files: () => Promise.resolve([]),
    range: () => Promise.reject(new Error('no weights here')),
  }
}

/** What each block of such a model costs. */
export function fakeUnitWeights(blocks: number): number[] {
  return unitWeightsOf(parseLlamaConfig({ ...CONFIG, num_hidden_layers: blocks }))
}

const CONFIG = {
  architectures: ['LlamaForCausalLM'],
  model_type: 'llama',
  hidden_act: 'silu',
  hidden_size: 64,
  intermediate_size: 128,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  vocab_size: 512,
  max_position_embeddings: 2048,
  rms_norm_eps: 1e-5,
  rope_theta: 10000,
  tie_word_embeddings: false,
  bos_token_id: 0,
  eos_token_id: 1,
  torch_dtype: 'float32',
}
