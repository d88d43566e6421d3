/**
 * Guesses at the next tokens from the text itself (prompt lookup): what followed the last few tokens where they stood before.
 * A guess costs nothing to make; whether it is right is decided by the swarm, which runs it like any other token.
 */

/** Tokens in a row that must have stood together before. One alone is met by chance too often. */
const LONGEST_RUN = 4
const SHORTEST_RUN = 2

/**
 * At most `count` tokens that may come after `ids`: what followed the latest earlier place of the longest run of tokens that `ids` ends
 * with. A run that overlaps its own repetition is continued in its period. Empty where no run of two stood before.
 */
export function draftTokens(ids: readonly number[], count: number): number[] {
  if (count <= 0) return []
  const from = continuation(ids)
  if (from === null) return []
  const draft: number[] = []
  while (draft.length < count) {
    const at = from + draft.length
    draft.push((at < ids.length ? ids[at] : draft[at - ids.length]) as number)
  }
  return draft
}

/** Index of what followed; always below the length. */
function continuation(ids: readonly number[]): number | null {
  const end = ids.length
  let found: number | null = null
  let longest = SHORTEST_RUN - 1
  // Backwards, so that of two runs of a length the later one stays.
  for (let next = end - 1; next > longest && longest < LONGEST_RUN; next -= 1) {
    const length = runLength(ids, next, end)
    if (length <= longest) continue
    longest = length
    found = next
  }
  return found
}

/** How many tokens before `a` and before `b` are the same, LONGEST_RUN at most. */
function runLength(ids: readonly number[], a: number, b: number): number {
  let length = 0
  while (length < LONGEST_RUN && length < a && ids[a - 1 - length] === ids[b - 1 - length]) length += 1
  return length
}
