/** Work timed in turns, and what a row says of it. */

export interface BenchRow {
  id: string
  ratio: number
  min: number
  max: number
  /** Medians in milliseconds of both sides, in words. */
  note: string
}

export type Timed = () => Promise<unknown>
export interface Samples {
  a: number[]
  b: number[]
}

export async function time(work: Timed): Promise<number> {
  const started = performance.now()
  await work()
  return performance.now() - started
}

/** Steps of a millisecond are taken for so long: 31 of them pass in a moment that something else on the machine may fill. */
const LEAST_MS = 2_000

/** Both once before the clock starts, then in turns: at least so many. */
export async function interleaved(a: Timed, b: Timed, rounds: number): Promise<Samples> {
  await a()
  await b()
  const samples: Samples = { a: [], b: [] }
  const startedAt = performance.now()
  for (let i = 0; i < rounds || performance.now() - startedAt < LEAST_MS; i += 1) {
    samples.a.push(await time(a))
    samples.b.push(await time(b))
  }
  return samples
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((x, y) => x - y)
  return sorted[Math.floor(sorted.length / 2)] as number
}

/** `b ÷ a`, times `factor`; least and most of the rounds. */
export function rowOf(id: string, { a, b }: Samples, names: [string, string], factor = 1): BenchRow {
  const rounds = a.map((x, i) => (factor * b[i]!) / x)
  const words = [a, b].map((side, i) => {
    const [least, most] = [Math.min(...side), Math.max(...side)]
    return `${names[i]} ${median(side).toFixed(1)} ms (${least.toFixed(1)}–${most.toFixed(1)})`
  })
  const ratio = (factor * median(b)) / median(a)
  return { id, ratio, min: Math.min(...rounds), max: Math.max(...rounds), note: words.join(', ') }
}

export function expectClose(what: string, found: ArrayLike<number>, wanted: Float64Array, tolerance: number): void {
  let most = 0
  for (const value of wanted) most = Math.max(most, Math.abs(value))
  for (const [i, value] of wanted.entries()) {
    if (Math.abs(found[i]! - value) <= tolerance * most) continue
    throw new Error(`${what}: element ${i} is ${found[i]}, the reference says ${value} (largest ${most.toFixed(2)})`)
  }
}
