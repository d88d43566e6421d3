/**
 * Loads spans and knows how fast they run: a speed is measured for an adapter, model, format and span length, and reused after that
 * until kernels are chosen anew or it has changed (`speed-watch.ts`). A GPU that is lost is opened again once in the life of a
 * donor; the second loss is final.
 */
import type { AutotuneMode } from '../../swarm/backend.ts'
import { describeError, SwarmError } from '../../swarm/errors.ts'
import type { SpanRunner } from '../../swarm/span-runner.ts'
import { spanLength, type Span } from '../../swarm/span.ts'
import type { DonorLog } from './donor-log.ts'
import type { DonorModel } from './donor-model.ts'
import { DownloadPace } from './download-pace.ts'
import type { Engine } from './engine.ts'
import type { DonorEnvironment } from './environment.ts'
import type { Sizing } from './sizing.ts'
import type { LoadProgress } from './state.ts'

export interface LoadedSpan {
  runner: SpanRunner
  /** Measured, or what `simulateSpeed` allows if that is less. */
  blockStepsPerSecond: number
  /** Of the canary: rows keep their bits however a step cuts them. */
  exact: boolean
}

export interface SpanLoaderOptions {
  environment: DonorEnvironment
  model: DonorModel
  sizing: Sizing
  threads: number | null
  autotune: AutotuneMode
  simulateSpeed: number | null
  log: DonorLog
  /** The GPU went away while nothing was being loaded. */
  onLost: (reason: string) => void
}

const MAX_REOPENINGS = 1
/** What kept speeds are measured in: the head counted as so many blocks as it costs. Those kept before did not. */
const SPEED_KIND = 'with head'
/** A second page reload right after a loss asks the browser's patience; a short pause lets the driver come back. */
const REOPEN_AFTER_MS = 500

export class SpanLoader {
  readonly #options: SpanLoaderOptions
  #engine: Engine
  #reopenings = 0
  #loading = 0
  #fetchedBefore = 0
  readonly #pace = new DownloadPace()
  #isClosed = false

  constructor(engine: Engine, options: SpanLoaderOptions) {
    this.#options = options
    this.#engine = engine
    this.#watch(engine)
  }

  get bytesFetched(): number {
    return this.#fetchedBefore + this.#engine.bytesFetched
  }

  /** Seconds that the blocks of a span would take to come which are in none of `cached`; 0 while nothing is known. */
  secondsToLoad(span: Span, cached: readonly Span[]): number {
    return this.#pace.secondsFor(span, cached)
  }

  /** A speed measured before, in block-steps a second; null when there is none. */
  async knownSpeed(length: number): Promise<number | null> {
    const { environment, log } = this.#options
    try {
      const speed = await environment.speeds.get(this.#speedKey(length))
      return speed === null ? null : this.#limited(speed)
    } catch (error) {
      log.warn(`The kept speed could not be read (${describeError(error)}); it is measured again.`)
      return null
    }
  }

  /** @throws SwarmError CANCELLED, GPU_LOST, WRONG_RESULTS, OUT_OF_MEMORY, HUB_*, BAD_SAFETENSORS */
  async load(span: Span, onProgress: (progress: LoadProgress) => void, signal: AbortSignal): Promise<LoadedSpan> {
    this.#loading += 1
    try {
      for (;;) {
        try {
          return await this.#loadOnce(span, onProgress, signal)
        } catch (error) {
          const isLost = error instanceof SwarmError && error.code === 'GPU_LOST'
          // While another span is being served, that one is to be loaded again first: the donor decides.
          if (!isLost || signal.aborted || this.#loading > 1) throw error
          await this.reopen(error.message)
        }
      }
    } finally {
      this.#loading -= 1
    }
  }

  /** Of a span that is served, block-steps a second. @throws SwarmError as steps do */
  async measureAgain({ runner }: LoadedSpan): Promise<number> {
    return this.#limited(await this.#engine.measure(runner))
  }

  /** What a next load of so many blocks goes by; not what is simulated. */
  async keepSpeed(length: number, speed: number): Promise<void> {
    if (speed === this.#options.simulateSpeed) return
    try {
      await this.#options.environment.speeds.set(this.#speedKey(length), speed)
    } catch (error) {
      this.#options.log.warn(`The measured speed could not be kept (${describeError(error)}).`)
    }
  }

  /** Opens the GPU anew after a loss; all runners are gone. @throws SwarmError GPU_LOST when that has been tried before */
  async reopen(reason: string): Promise<void> {
    if (this.#reopenings >= MAX_REOPENINGS) {
      throw new SwarmError('GPU_LOST', `${this.#what()} was lost again (${reason}), so this tab stopped donating.`, {
        action: 'Close other heavy tabs and programs, reload the page and start again with fewer blocks.',
      })
    }
    this.#reopenings += 1
    const { environment, threads, log } = this.#options
    log.warn(`${this.#what()} was lost (${reason}); it is opened again and the blocks are loaded from the cache.`)
    this.#fetchedBefore += this.#engine.bytesFetched
    this.#engine.close()
    await new Promise<void>((resolve) => void environment.clock.after(REOPEN_AFTER_MS, resolve))
    // What records, budgets and formats already say holds for that backend alone.
    const { backend } = this.#engine.adapter
    const engine = await environment.openEngine({ backend, threads })
    if (this.#isClosed) {
      engine.close()
      throw new SwarmError('CANCELLED', 'the tab stopped donating')
    }
    if (engine.adapter.backend !== backend) {
      engine.close()
      throw new SwarmError('GPU_LOST', `The GPU did not come back (${reason}), so this tab stopped donating.`, {
        action: 'Restart the browser, or start again and let the tab compute without the GPU.',
      })
    }
    this.#engine = engine
    this.#watch(engine)
  }

  close(): void {
    this.#isClosed = true
    this.#engine.close()
  }

  async #loadOnce(span: Span, onProgress: (progress: LoadProgress) => void, signal: AbortSignal): Promise<LoadedSpan> {
    const { environment, model, sizing, autotune } = this.#options
    const { source, config } = model
    const token = environment.hubToken()
    const engine = this.#engine
    let isTuned = false
    const runner = await engine.load({
      repo: source.repo,
      revision: source.revision,
      hubUrl: source.hubUrl,
      ...(token === undefined ? {} : { token }),
      config,
      span,
      format: sizing.format,
      cacheTokens: sizing.cacheTokens,
      kv: sizing.kv,
      autotune,
      onProgress: (progress) => {
        this.#pace.learn(span, progress)
        onProgress(progress)
      },
      onTuned: () => {
        isTuned = true
      },
      signal,
    })
    const exact = await this.#check(engine, runner)
    const known = isTuned ? null : await this.knownSpeed(spanLength(span))
    if (known !== null) return { runner, blockStepsPerSecond: known, exact }
    onProgress({ phase: 'measure', doneBytes: 0, totalBytes: 0, cachedBytes: 0, bytesPerSecond: 0, etaSeconds: null })
    const measured = await engine.measure(runner)
    await this.keepSpeed(spanLength(span), measured)
    return { runner, blockStepsPerSecond: this.#limited(measured), exact }
  }

  /** Nothing of a device that computes wrongly is ever served. */
  async #check(engine: Engine, runner: SpanRunner): Promise<boolean> {
    try {
      const exact = await engine.check(runner)
      if (!exact) this.#options.log.info('Rows change in their last bits with the steps they come in on this device.')
      return exact
    } catch (error) {
      await runner.dispose()
      throw error
    }
  }

  #what(): string {
    return this.#engine.adapter.backend === 'wasm' ? 'What computes for this tab' : 'The GPU'
  }

  #limited(speed: number): number {
    const { simulateSpeed } = this.#options
    return simulateSpeed === null ? speed : Math.min(speed, simulateSpeed)
  }

  #speedKey(length: number): string {
    const { model, sizing } = this.#options
    const key = [SPEED_KIND, this.#engine.adapter.description, model.id.digest, sizing.format, length]
    return (sizing.kv === 'f32' ? key : [...key, `kv ${sizing.kv}`]).join('|')
  }

  #watch(engine: Engine): void {
    engine.onWarning((text) => this.#options.log.warn(text))
    engine.onNote((text) => this.#options.log.info(text))
    engine.onLost((reason) => {
      // A load under way fails by itself and handles it; a loss in between is the donor's to handle.
      if (engine === this.#engine && !this.#isClosed && this.#loading === 0) this.#options.onLost(reason)
    })
  }
}
