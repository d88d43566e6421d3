/** Reads fields of an untrusted JSON object with their limits; every refusal names the file, the field, and what it held. */
import { SwarmError } from '../errors.ts'
import { MAX_VOCAB_SIZE } from '../limits.ts'

export interface NumberRange {
  above?: number
  atLeast?: number
  atMost: number
  integer?: boolean
}

const CORRECT_IT = 'Choose another model or revision, or ask its publisher to correct the file.'

/** `null` counts as absent everywhere: config files write `null` for "not set". */
export class ConfigReader {
  readonly #file: string
  readonly #json: Record<string, unknown>

  constructor(file: string, json: unknown) {
    if (typeof json !== 'object' || json === null || Array.isArray(json)) {
      throw new SwarmError('BAD_CONFIG', `${file} is ${describeValue(json)}, not a JSON object`, { action: CORRECT_IT })
    }
    this.#file = file
    this.#json = json as Record<string, unknown>
  }

  /** The field as it is, own properties only, or undefined. */
  raw(key: string): unknown {
    const value = Object.hasOwn(this.#json, key) ? this.#json[key] : undefined
    return value === null ? undefined : value
  }

  isSet(key: string): boolean {
    return this.raw(key) !== undefined
  }

  size(key: string, limit: number): number {
    const value = this.optionalSize(key, limit)
    if (value === undefined) throw this.bad(key, 'is missing')
    return value
  }

  optionalSize(key: string, limit: number): number | undefined {
    return this.optionalNumber(key, { atLeast: 1, atMost: limit, integer: true })
  }

  number(key: string, range: NumberRange): number {
    const value = this.optionalNumber(key, range)
    if (value === undefined) throw this.bad(key, 'is missing')
    return value
  }

  optionalNumber(key: string, range: NumberRange): number | undefined {
    const value = this.raw(key)
    if (value === undefined) return undefined
    if (typeof value !== 'number' || !Number.isFinite(value)) {
      throw this.bad(key, `is ${describeValue(value)}, not a finite number`)
    }
    if (range.integer === true && !Number.isInteger(value)) throw this.bad(key, `is ${value}, not a whole number`)
    if (range.above !== undefined && !(value > range.above)) {
      throw this.bad(key, `is ${value}; it must be above ${range.above}`)
    }
    if (range.atLeast !== undefined && value < range.atLeast) {
      throw this.bad(key, `is ${value}; it must be at least ${range.atLeast}`)
    }
    if (value > range.atMost) throw this.bad(key, `is ${value}; the limit is ${range.atMost}`)
    return value
  }

  optionalBoolean(key: string): boolean | undefined {
    const value = this.raw(key)
    if (value === undefined || typeof value === 'boolean') return value
    throw this.bad(key, `is ${describeValue(value)}, not true or false`)
  }

  optionalString(key: string): string | undefined {
    const value = this.raw(key)
    if (value === undefined) return undefined
    if (typeof value !== 'string' || value.length > 200) throw this.bad(key, `is ${describeValue(value)}, not a name`)
    return value
  }

  optionalStrings(key: string): string[] | undefined {
    const value = this.raw(key)
    if (value === undefined) return undefined
    if (!Array.isArray(value) || !value.every((item) => typeof item === 'string')) {
      throw this.bad(key, `is ${describeValue(value)}, not a list of names`)
    }
    return value
  }

  object(key: string): ConfigReader | undefined {
    const value = this.raw(key)
    return value === undefined ? undefined : new ConfigReader(`${this.#file}: ${key}`, value)
  }

  keys(): string[] {
    return Object.keys(this.#json)
  }

  /** A token id or a list of them; empty when absent. */
  tokenIds(key: string, limit: number): number[] {
    const value = this.raw(key)
    if (value === undefined) return []
    const ids: unknown[] = Array.isArray(value) ? value : [value]
    if (ids.length > limit) throw this.bad(key, `lists ${ids.length} ids; the limit is ${limit}`)
    return ids.map((id) => {
      if (typeof id !== 'number' || !Number.isInteger(id) || id < 0 || id >= MAX_VOCAB_SIZE) {
        throw this.bad(key, `holds ${describeValue(id)}, which is no token id`)
      }
      return id
    })
  }

  bad(key: string, what: string): SwarmError {
    return new SwarmError('BAD_CONFIG', `${this.#file}: ${key} ${what}`, {
      action: CORRECT_IT,
    })
  }
}

/** A `config.json` that contradicts itself. */
export function badConfig(reason: string): SwarmError {
  return new SwarmError('BAD_CONFIG', `config.json cannot be used: ${reason}`, {
    action: CORRECT_IT,
  })
}

/** A `config.json` that is right, for an engine that is not this one. */
export function unsupported(reason: string): SwarmError {
  return new SwarmError('UNSUPPORTED_MODEL', `this model cannot be run: ${reason}`, {
    action: 'Choose a model of the Llama architecture in f32, f16 or bf16.',
  })
}

/** Short and safe to show: a hostile value may be megabytes long. */
export function describeValue(value: unknown): string {
  if (value === undefined) return 'missing'
  if (typeof value === 'string') return JSON.stringify(value.length > 40 ? `${value.slice(0, 40)}…` : value)
  if (typeof value === 'number' || typeof value === 'boolean' || value === null) return String(value)
  return Array.isArray(value) ? `a list of ${value.length}` : 'an object'
}
