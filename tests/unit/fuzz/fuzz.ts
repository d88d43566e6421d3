/**
 * Fuzzing as the tests share it: mutators of bytes, texts and JSON, and a loop that runs a target for a few seconds. A
 * target may answer or refuse with a `SwarmError`; anything else thrown, and more than a second of computing for one
 * input, is a finding. FUZZ_SECONDS in the environment makes it longer; fast-check prints the seed of a finding.
 */
import fc from 'fast-check'
import { SwarmError } from '../../../swarm/errors.ts'

export const FUZZ_SECONDS = Number(process.env['FUZZ_SECONDS'] ?? 5)
/** Computing, not waiting: how busy the machine is does not count. */
const MAX_CPU_MS = 1_000
/** For the test around one loop. */
export const FUZZ_TIMEOUT_MS = FUZZ_SECONDS * 1_000 + 60_000

type Mutate<T> = (value: T, random: (below: number) => number) => T

/** Values made of `seeds` by up to eight mutations; fast-check makes them fewer while it shrinks a finding. */
function mutated<T>(seeds: readonly T[], mutate: Mutate<T>): fc.Arbitrary<T> {
  const choices = fc.array(fc.nat(0x7fff_ffff), { minLength: 8, maxLength: 8 })
  return fc.tuple(fc.nat(seeds.length - 1), fc.array(choices, { maxLength: 8 })).map(([index, edits]) => {
    let value = seeds[index] as T
    for (const numbers of edits) {
      let at = 0
      value = mutate(value, (below) => (below <= 0 ? 0 : (numbers[at++ % numbers.length] ?? 0) % below))
    }
    return value
  })
}

const INTERESTING = [0, 1, 0x7f, 0x80, 0xff, 0x22, 0x7b, 0x7d, 0x5b, 0x2e, 0x2f, 0x0a]

export function mutatedBytes(seeds: readonly Uint8Array[]): fc.Arbitrary<Uint8Array> {
  return mutated(seeds, (bytes, random) => {
    const at = random(bytes.length + 1)
    const length = random(9)
    const before = bytes.subarray(0, at)
    switch (random(6)) {
      case 0: // one bit
        return bytes.map((byte, i) => (i === at ? byte ^ (1 << random(8)) : byte))
      case 1: // one byte
        return bytes.map((byte, i) => (i === at ? (INTERESTING[random(INTERESTING.length)] ?? 0) : byte))
      case 2: // something put in
        return join([before, Uint8Array.from({ length }, () => random(256)), bytes.subarray(at)])
      case 3: // something left out
        return join([before, bytes.subarray(at + length)])
      case 4: // something twice
        return join([before, bytes.subarray(at, at + length * 4), bytes.subarray(at)])
      default:
        return random(4) === 0 ? before.slice() : bytes.map((byte, i) => (i >= at && i < at + 8 ? 0xff : byte))
    }
  })
}

const SIGNS =
  '" \\ { } [ ] ( ) < > & ; {{ }} {% %} ``` ? = # % / .. %2e%2e javascript: <script> /p2p/ /p2p-circuit /tcp/0 /ws https://'
const WORDS = '__proto__ constructor 1e999 -0 0x10 NaN null true'
const ODD = ['', '\0', '\ufeff', '\ud800', '\u202e', '🦙', 'ㅎ', 'é', '\n\n', '\r', ' '.repeat(40), 'a'.repeat(300)]
const LONG = ['9'.repeat(30), '*'.repeat(9), '{% for a in messages %}', '{{ messages }}']
const FRAGMENTS = [...SIGNS.split(' '), ...WORDS.split(' '), ...ODD, ...LONG]

export function mutatedText(seeds: readonly string[]): fc.Arbitrary<string> {
  return mutated(seeds, (text, random) => {
    const at = random(text.length + 1)
    const end = at + random(12)
    switch (random(4)) {
      case 0:
        return text.slice(0, at) + (FRAGMENTS[random(FRAGMENTS.length)] ?? '') + text.slice(at)
      case 1:
        return text.slice(0, at) + text.slice(end)
      case 2:
        return text.slice(0, at) + text.slice(at, end).repeat(1 + random(8)) + text.slice(end)
      default:
        return text.slice(0, at) + String.fromCharCode(random(0x1_0000)) + text.slice(at + 1)
    }
  })
}

type Json = null | boolean | number | string | Json[] | { [key: string]: Json }

const NUMBERS: readonly Json[] = [0, -1, 1, 0.5, 1e308, -1e308, 2 ** 31, 2 ** 53, 1e-320]
const TEXTS: readonly Json[] = ['', 'x', '__proto__', '\ud800', 'a'.repeat(5_000), '(a+)+$', '[', '\\', '{% for %}']
const NESTED: readonly Json[] = [[], [[]], [null], {}, { a: {} }, { type: 'x' }, { constructor: 1 }]
const MANY: Json = Array.from({ length: 1_000 }, () => 0)
const HOSTILE: readonly Json[] = [null, true, false, ...NUMBERS, ...TEXTS, ...NESTED, MANY]

/** JSON values with members replaced, left out, renamed and put in. */
export function mutatedJson(seeds: readonly unknown[]): fc.Arbitrary<unknown> {
  return mutated(seeds as Json[], (value, random) => editJson(value, random, 0))
}

function editJson(value: Json, random: (below: number) => number, depth: number): Json {
  const isInner = typeof value === 'object' && value !== null && Object.keys(value).length > 0
  if (!isInner || depth > 6 || random(5) === 0) return HOSTILE[random(HOSTILE.length)] ?? null
  const keys = Object.keys(value)
  const key = keys[random(keys.length)] ?? ''
  const isList = Array.isArray(value)
  const copy = (isList ? [...value] : { ...value }) as Record<string, Json>
  switch (random(6)) {
    case 0:
      if (isList) (copy as unknown as Json[]).splice(Number(key), 1)
      else delete copy[key]
      return copy
    case 1:
      copy[isList ? keys.length : `${key}_`] = HOSTILE[random(HOSTILE.length)] ?? null
      return copy
    default:
      copy[key] = editJson(copy[key] ?? null, random, depth + 1)
      return copy
  }
}

/** Runs `target` on made-up inputs for FUZZ_SECONDS. Returns how many of them it took and how many it refused. */
export async function fuzz<T>(
  inputs: fc.Arbitrary<T>,
  target: (input: T) => unknown,
): Promise<{ taken: number; refused: number }> {
  const counts = { taken: 0, refused: 0 }
  const property = fc.asyncProperty(inputs, async (input) => {
    const before = process.cpuUsage()
    try {
      await target(input)
      counts.taken += 1
    } catch (error) {
      if (!(error instanceof SwarmError)) throw error
      counts.refused += 1
    }
    const { user, system } = process.cpuUsage(before)
    const cpuMs = (user + system) / 1_000
    if (cpuMs > MAX_CPU_MS) throw new Error(`one input took ${Math.round(cpuMs)} ms of computing`)
  })
  await fc.assert(property, {
    numRuns: 10_000_000,
    interruptAfterTimeLimit: FUZZ_SECONDS * 1_000,
    markInterruptAsFailure: false,
  })
  return counts
}

function join(parts: readonly Uint8Array[]): Uint8Array {
  return Uint8Array.from(parts.flatMap((part) => [...part]))
}
