/** The spelling that a mistyped flag probably meant. */

/** The nearest candidate by edit distance, null when none is near enough to be worth saying. */
export function nearestName(typed: string, candidates: readonly string[]): string | null {
  let best: { name: string; distance: number } | null = null
  for (const name of candidates) {
    const distance = editDistance(typed, name)
    if (best === null || distance < best.distance) best = { name, distance }
  }
  // A third of the letters wrong is no longer the same word.
  return best !== null && best.distance <= Math.max(2, Math.floor(typed.length / 3)) ? best.name : null
}

/** Levenshtein distance, one row at a time. */
export function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (let i = 1; i <= a.length; i += 1) {
    const next = [i]
    for (let j = 1; j <= b.length; j += 1) {
      const substitute = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1)
      next.push(Math.min(substitute, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1))
    }
    row = next
  }
  return row[b.length] ?? 0
}
