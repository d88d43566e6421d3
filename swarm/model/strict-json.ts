/**
 * A JSON parser for headers that strangers wrote: duplicate keys and depth, which `JSON.parse` cannot see, are refused,
 * objects become Maps (so `__proto__` is a key like any other), and integers are told apart from other numbers. Never
 * recurses deeper than its limit. Grammar: RFC 8259.
 */
export type StrictJson = string | number | boolean | null | StrictJson[] | Map<string, StrictJson>

/** Says where and why a text was refused; callers turn it into their own error. */
export class StrictJsonError extends Error {
  override readonly name = 'StrictJsonError'
}

/** @throws StrictJsonError. Numbers must be whole and exact in a double when `integersOnly` is set. */
export function parseStrictJson(text: string, options: { maxDepth: number; integersOnly?: boolean }): StrictJson {
  const parser = new Parser(text, options.maxDepth, options.integersOnly ?? false)
  return parser.parse()
}

const WHITESPACE = /[ \t\n\r]*/y
const NUMBER = /-?(?:0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?/y

class Parser {
  readonly #text: string
  readonly #maxDepth: number
  readonly #integersOnly: boolean
  #at = 0

  constructor(text: string, maxDepth: number, integersOnly: boolean) {
    this.#text = text
    this.#maxDepth = maxDepth
    this.#integersOnly = integersOnly
  }

  parse(): StrictJson {
    const value = this.#value(1)
    this.#skipSpace()
    if (this.#at !== this.#text.length) throw this.#unexpected('the end')
    return value
  }

  #value(depth: number): StrictJson {
    this.#skipSpace()
    switch (this.#text.charAt(this.#at)) {
      case '{':
        return this.#object(depth)
      case '[':
        return this.#array(depth)
      case '"':
        return this.#string()
      case 't':
        return this.#word('true', true)
      case 'f':
        return this.#word('false', false)
      case 'n':
        return this.#word('null', null)
      default:
        return this.#number()
    }
  }

  #object(depth: number): Map<string, StrictJson> {
    this.#open(depth)
    const members = new Map<string, StrictJson>()
    if (this.#take('}')) return members
    for (;;) {
      this.#skipSpace()
      const key = this.#string()
      if (members.has(key)) throw new StrictJsonError(`duplicate key ${JSON.stringify(key.slice(0, 80))}`)
      if (!this.#take(':')) throw this.#unexpected('":"')
      members.set(key, this.#value(depth + 1))
      if (this.#take('}')) return members
      if (!this.#take(',')) throw this.#unexpected('"," or "}"')
    }
  }

  #array(depth: number): StrictJson[] {
    this.#open(depth)
    const items: StrictJson[] = []
    if (this.#take(']')) return items
    for (;;) {
      items.push(this.#value(depth + 1))
      if (this.#take(']')) return items
      if (!this.#take(',')) throw this.#unexpected('"," or "]"')
    }
  }

  #open(depth: number): void {
    if (depth > this.#maxDepth) throw new StrictJsonError(`nested deeper than ${this.#maxDepth}`)
    this.#at += 1
  }

  #string(): string {
    const start = this.#at
    // By hand: a pattern with alternatives exhausts the pattern engine's stack on strings of megabytes.
    if (this.#text[start] !== '"') throw this.#unexpected('a string')
    let at = start + 1
    let escaped = false
    for (;;) {
      const code = this.#text.charCodeAt(at)
      if (Number.isNaN(code) || code < 0x20) throw new StrictJsonError(`unterminated string at character ${start}`)
      if (code === 0x22) break
      if (code === 0x5c) {
        escaped = true
        at += 1
      }
      at += 1
    }
    this.#at = at + 1
    if (!escaped) return this.#text.slice(start + 1, at)
    try {
      return JSON.parse(this.#text.slice(start, at + 1)) as string
    } catch {
      throw new StrictJsonError(`bad escape in the string at character ${start}`)
    }
  }

  #number(): number {
    NUMBER.lastIndex = this.#at
    const match = NUMBER.exec(this.#text)
    if (match === null) throw this.#unexpected('a value')
    const value = Number(match[0])
    const whole = match[1] === undefined && match[2] === undefined
    if (this.#integersOnly && !(whole && Number.isSafeInteger(value))) {
      throw new StrictJsonError(`${match[0].slice(0, 40)} at character ${this.#at} is not a safe integer`)
    }
    this.#at += match[0].length
    return value
  }

  #word<T extends true | false | null>(word: string, value: T): T {
    if (!this.#text.startsWith(word, this.#at)) throw this.#unexpected('a value')
    this.#at += word.length
    return value
  }

  #take(character: string): boolean {
    this.#skipSpace()
    if (this.#text[this.#at] !== character) return false
    this.#at += 1
    return true
  }

  #skipSpace(): void {
    WHITESPACE.lastIndex = this.#at
    this.#at += WHITESPACE.exec(this.#text)?.[0].length ?? 0
  }

  #unexpected(expected: string): StrictJsonError {
    const found = this.#at < this.#text.length ? JSON.stringify(this.#text[this.#at]) : 'the end'
    return new StrictJsonError(`expected ${expected} at character ${this.#at}, found ${found}`)
  }
}
