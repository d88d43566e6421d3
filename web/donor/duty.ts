/**
 * What a serving donor is wanted to do, and what it does. A wish may come at any moment: in the middle of a move, of a pause
 * that is not complete, or while the blocks are loaded again after a lost GPU. One loop takes one step after another until
 * what is done is what is wanted; the steps themselves are `serving.ts`.
 */

/**
 * loading: its blocks come back to the GPU. pausing: sessions go to other tabs, each between two tokens. finishing: sessions
 * that run go on, no new ones.
 */
export type Duty = 'serving' | 'loading' | 'pausing' | 'paused' | 'finishing'

type Wish = 'serve' | 'pause' | 'finish'

export interface DutySteps {
  /** Whether the blocks are on the GPU, or were until it was lost. */
  isLoaded(): boolean
  /** Lets the runner of a lost GPU go. */
  unload(): Promise<void>
  /** Loads the blocks again; `lost`: opens the GPU first. May be left undone once `signal` has aborted. */
  reload(lost: string | null, signal: AbortSignal): Promise<void>
  /** Takes sessions, and says so. `from`: what it did before. */
  takeUp(from: Duty): void
  /** Ends moves and sessions; nothing is computed after it. */
  rest(): Promise<void>
  /** Ends moves and takes no new sessions. */
  drain(): Promise<void>
  onChange(duty: Duty): void
  /** A step that failed for good. */
  onFailure(error: unknown): void
}

export class DutyLoop {
  readonly #steps: DutySteps
  #wish: Wish = 'serve'
  #duty: Duty = 'serving'
  #lost: string | null = null
  #isStopped = false
  #loading: AbortController | null = null
  #running: Promise<void> | null = null

  constructor(steps: DutySteps) {
    this.#steps = steps
  }

  get duty(): Duty {
    return this.#duty
  }

  want(wish: Wish): void {
    if (wish === this.#wish) return
    this.#wish = wish
    if (wish !== 'serve') this.#loading?.abort()
    this.#kick()
  }

  /** The GPU went away, with the blocks on it. */
  lose(reason: string): void {
    this.#lost = reason
    this.#kick()
  }

  /** Takes no further step; resolves when the one under way is over. */
  async stop(): Promise<void> {
    this.#isStopped = true
    this.#loading?.abort()
    await this.#running
  }

  #kick(): void {
    if (this.#isStopped) return
    this.#running ??= this.#run().finally(() => {
      this.#running = null
      // A wish may have come between the last look and this line.
      if (this.#nextStep() !== null) this.#kick()
    })
  }

  async #run(): Promise<void> {
    try {
      for (let step = this.#nextStep(); step !== null; step = this.#nextStep()) await step()
    } catch (error) {
      if (this.#isStopped) return
      this.#isStopped = true
      this.#steps.onFailure(error)
    }
  }

  #nextStep(): (() => Promise<void> | void) | null {
    if (this.#isStopped) return null
    const isLoaded = this.#steps.isLoaded()
    if (this.#lost !== null && isLoaded) return () => this.#unload()
    switch (this.#wish) {
      case 'serve':
        if (!isLoaded) return () => this.#reload()
        return this.#duty === 'serving' ? null : () => this.#takeUp()
      case 'pause':
        return this.#duty === 'paused' ? null : () => this.#rest()
      case 'finish':
        return this.#duty === 'finishing' ? null : () => this.#drain()
    }
  }

  async #unload(): Promise<void> {
    if (this.#wish === 'serve') this.#set('loading')
    await this.#steps.unload()
  }

  async #reload(): Promise<void> {
    this.#set('loading')
    const lost = this.#lost
    this.#lost = null
    this.#loading = new AbortController()
    const { signal } = this.#loading
    try {
      await this.#steps.reload(lost, signal)
    } catch (error) {
      // Wanted no more: what is wanted instead comes next.
      if (!signal.aborted) throw error
    } finally {
      this.#loading = null
    }
  }

  #takeUp(): void {
    const from = this.#duty
    this.#duty = 'serving'
    this.#steps.takeUp(from)
    this.#steps.onChange(this.#duty)
  }

  async #rest(): Promise<void> {
    this.#set('pausing')
    await this.#steps.rest()
    if (this.#wish === 'pause') this.#set('paused')
  }

  async #drain(): Promise<void> {
    this.#set('finishing')
    await this.#steps.drain()
  }

  #set(duty: Duty): void {
    if (duty === this.#duty) return
    this.#duty = duty
    this.#steps.onChange(duty)
  }
}
