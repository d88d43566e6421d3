/**
 * Reads fields of JSON that a person wrote, and collects one sentence for each that is wrong, so that all can be mended at
 * once. A key that is nearly a known one is taken for a slip; any other unknown key is the writer's own remark.
 */
import { SwarmError } from '../errors.ts'

export type JsonObject = Record<string, unknown>

/** So many sentences are shown; more would hide the first ones. */
const MOST_SHOWN = 10

export class FieldReader {
  readonly #problems: string[] = []

  problem(sentence: string): void {
    this.#problems.push(sentence)
  }

  get hasProblems(): boolean {
    return this.#problems.length > 0
  }

  /** @throws SwarmError BAD_OPTION with all sentences */
  throwIfWrong(what: string, action: string): void {
    if (this.#problems.length === 0) return
    const more = this.#problems.length - MOST_SHOWN
    const sentences = this.#problems.slice(0, MOST_SHOWN).join(' ')
    throw new SwarmError('BAD_OPTION', `${what}: ${sentences}${more > 0 ? ` And ${more} more.` : ''}`, { action })
  }

  object(value: unknown, where: string): JsonObject | null {
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as JsonObject
    this.problem(`${where} must be an object, and is ${shown(value)}.`)
    return null
  }

  /** Null when absent or wrong. */
  number(
    of: JsonObject,
    key: string,
    where: string,
    { least, most = Infinity, above }: { least?: number; most?: number; above?: number },
  ): number | null {
    const value = of[key]
    if (value === undefined) return null
    const isInside =
      typeof value === 'number' &&
      Number.isFinite(value) &&
      (least === undefined || value >= least) &&
      (above === undefined || value > above) &&
      value <= most
    if (isInside) return value
    const lower = above === undefined ? (least === undefined ? '' : ` of ${least} or more`) : ` above ${above}`
    const upper = most === Infinity ? '' : ` and at most ${most}`
    this.problem(`${where}${key} must be a number${lower}${upper}, and is ${shown(value)}.`)
    return null
  }

  integer(of: JsonObject, key: string, where: string, least: number, most: number): number | null {
    const value = of[key]
    if (value === undefined) return null
    if (Number.isInteger(value) && (value as number) >= least && (value as number) <= most) return value as number
    this.problem(`${where}${key} must be a whole number from ${least} to ${most}, and is ${shown(value)}.`)
    return null
  }

  /** A number is taken for its digits: ids are often counted. */
  text(of: JsonObject, key: string, where: string): string | null {
    const value = of[key]
    if (value === undefined) return null
    if (typeof value === 'number' && Number.isFinite(value)) return String(value)
    if (typeof value === 'string' && value !== '') return value
    this.problem(`${where}${key} must be a text that is not empty, and is ${shown(value)}.`)
    return null
  }

  list(of: JsonObject, key: string, where: string): readonly unknown[] | null {
    const value = of[key]
    if (value === undefined) return null
    if (Array.isArray(value)) return value as unknown[]
    this.problem(`${where}${key} must be a list, and is ${shown(value)}.`)
    return null
  }

  /** All numbers above 0. */
  numbers(of: JsonObject, key: string, where: string): number[] | null {
    const values = this.list(of, key, where)
    if (values === null) return null
    const wrong = values.findIndex((value) => typeof value !== 'number' || !Number.isFinite(value) || value <= 0)
    if (wrong === -1) return values as number[]
    this.problem(`${where}${key}[${wrong}] must be a number above 0, and is ${shown(values[wrong])}.`)
    return null
  }

  /** `tokenPerSecond` for `tokensPerSecond` would otherwise count as a remark, and its figure be lost without a word. */
  keys(of: JsonObject, known: readonly string[], where: string): void {
    for (const key of Object.keys(of)) {
      if (known.includes(key)) continue
      const near = known.find((candidate) => isNear(key, candidate))
      if (near !== undefined) this.problem(`${where}${key} is not known: write ${near}, if that is meant.`)
    }
  }
}

export function shown(value: unknown): string {
  const words = value === undefined ? 'missing' : JSON.stringify(value)
  return words.length > 40 ? `${words.slice(0, 39)}…` : words
}

/** Whether two names differ in letter case, `_`, or at most two letters. */
function isNear(a: string, b: string): boolean {
  const plainA = a.replaceAll(/[_-]/g, '').toLowerCase()
  const plainB = b.replaceAll(/[_-]/g, '').toLowerCase()
  return plainA === plainB || (Math.min(plainA.length, plainB.length) > 4 && editDistance(plainA, plainB) <= 2)
}

function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (let i = 1; i <= a.length; i += 1) {
    const next = [i]
    for (let j = 1; j <= b.length; j += 1) {
      const change = (row[j - 1] as number) + (a[i - 1] === b[j - 1] ? 0 : 1)
      next.push(Math.min(change, (row[j] as number) + 1, (next[j - 1] as number) + 1))
    }
    row = next
  }
  return row[b.length] as number
}
