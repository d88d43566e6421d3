/**
 * What no placement of these peers can carry, tighter than their sum: a token passes each unit once, so a peer gives no more to a flow than
 * the flow times what the heaviest span weighs that it can hold. In small swarms the fast peers' speed is beyond that.
 */

/** Halvings of the interval that holds the bound: to a few parts in 10^9. */
const HALVINGS = 28

/** Tokens a second; `peers` in block-steps a second and units of the longest span. */
export function spanBound(
  unitWeights: readonly number[],
  peers: Iterable<{ readonly blockSteps: number; readonly longest: number }>,
): number {
  const all = [...peers]
  const work = unitWeights.reduce((sum, weight) => sum + weight, 0)
  const heaviest = heaviestSpans(unitWeights)
  const passes = (flow: number): boolean => {
    let given = 0
    for (const { blockSteps, longest } of all) {
      given += Math.min(blockSteps, flow * (heaviest[Math.min(longest, unitWeights.length)] as number))
    }
    // Where every peer is short of its span, both sides are equal, and sums do not come out exactly.
    return given >= flow * work * (1 - 1e-12)
  }
  let high = all.reduce((sum, { blockSteps }) => sum + blockSteps, 0) / work
  if (passes(high)) return high
  let low = 0
  for (let i = 0; i < HALVINGS; i += 1) {
    const flow = (low + high) / 2
    if (passes(flow)) low = flow
    else high = flow
  }
  // The upper end: a bound must not be below what it bounds.
  return high
}

/** Of each length, what the heaviest span of so many units weighs. */
function heaviestSpans(unitWeights: readonly number[]): Float64Array {
  const units = unitWeights.length
  const heaviest = new Float64Array(units + 1)
  for (let start = 0; start < units; start += 1) {
    let weight = 0
    for (let end = start + 1; end <= units; end += 1) {
      weight += unitWeights[end - 1] as number
      heaviest[end - start] = Math.max(heaviest[end - start] as number, weight)
    }
  }
  return heaviest
}
