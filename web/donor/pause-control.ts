/**
 * Who pauses a serving tab: its owner, or a reason that the owner has agreed to beforehand (battery, a metered connection). A
 * reason resumes what it has paused when it goes; what the owner paused, only the owner resumes. Start and Resume count
 * for more than a reason that holds at that moment: it is set aside until it has gone and come again.
 */

export type PauseReason = 'battery' | 'metered'
export type PausedBy = 'owner' | PauseReason

/** null: this browser does not tell. */
export interface PowerConditions {
  onBattery: boolean | null
  isMetered: boolean | null
}

/** What the owner has agreed to. */
export interface PauseRules {
  onBattery: boolean
  whenMetered: boolean
}

export interface PowerPort {
  conditions(): PowerConditions
  rules(): PauseRules
  /** Of conditions and of rules. */
  onChange(listener: () => void): () => void
}

/** What is paused: `serving.ts`. */
export interface Pausable {
  pause(by: PausedBy): void
  resume(): void
  finish(): void
}

const BEGINS: Record<PausedBy, string> = {
  owner: 'Paused by its owner.',
  battery: 'Paused: this computer runs on battery. It resumes by itself when it is plugged in.',
  metered: 'Paused: this connection is metered. It resumes by itself on another one.',
}
const ENDS: Record<PauseReason, string> = {
  battery: 'Resumes: on battery no longer, or nothing is to be paused for it.',
  metered: 'Resumes: the connection is not metered any more, or nothing is to be paused for it.',
}
const SET_ASIDE: Record<PauseReason, string> = {
  battery: 'Serves on battery all the same, until it has been plugged in again.',
  metered: 'Serves on a metered connection all the same, until it has been on another one.',
}

export class PauseControl {
  readonly #power: PowerPort
  readonly #log: { info(text: string): void }
  readonly #unsubscribe: () => void
  /** Reasons that held when the owner started or resumed. */
  readonly #setAside = new Set<PauseReason>()
  #by: PausedBy | null = null
  #isFinishing = false
  #serving: Pausable | null = null

  /** Made at the owner's click on Start; nothing is paused before `begin`. */
  constructor({ power, log }: { power: PowerPort; log: { info(text: string): void } }) {
    this.#power = power
    this.#log = log
    this.#setAsideAll()
    this.#unsubscribe = power.onChange(() => this.#look())
  }

  /** The tab serves: reasons count from here on. */
  begin(serving: Pausable): void {
    this.#serving = serving
    this.#look()
  }

  end(): void {
    this.#unsubscribe()
    this.#serving = null
  }

  /** This and the next two are the owner's; they do nothing before `begin` and after `end`. */
  pause(): void {
    if (this.#serving === null) return
    this.#isFinishing = false
    this.#begin(this.#serving, 'owner')
  }

  resume(): void {
    if (this.#serving === null) return
    this.#isFinishing = false
    this.#by = null
    this.#setAsideAll()
    this.#serving.resume()
  }

  /** It ends within minutes: no reason interferes. */
  finish(): void {
    if (this.#serving === null) return
    this.#isFinishing = true
    this.#by = null
    this.#serving.finish()
  }

  #look(): void {
    const reasons = this.#reasons()
    for (const reason of this.#setAside) if (!reasons.includes(reason)) this.#setAside.delete(reason)
    if (this.#serving === null || this.#isFinishing || this.#by === 'owner') return
    const reason = reasons.find((each) => !this.#setAside.has(each)) ?? null
    if (reason === this.#by) return
    if (reason !== null) return this.#begin(this.#serving, reason)
    if (this.#by !== null) this.#log.info(ENDS[this.#by])
    this.#by = null
    this.#serving.resume()
  }

  #begin(serving: Pausable, by: PausedBy): void {
    this.#by = by
    this.#log.info(BEGINS[by])
    serving.pause(by)
  }

  #setAsideAll(): void {
    this.#setAside.clear()
    for (const reason of this.#reasons()) {
      this.#setAside.add(reason)
      this.#log.info(SET_ASIDE[reason])
    }
  }

  #reasons(): PauseReason[] {
    const { onBattery, isMetered } = this.#power.conditions()
    const rules = this.#power.rules()
    const reasons: PauseReason[] = []
    if (rules.onBattery && onBattery === true) reasons.push('battery')
    if (rules.whenMetered && isMetered === true) reasons.push('metered')
    return reasons
  }
}
