/** Max flow at least cost by successive cheapest paths; costs are small whole numbers, capacities any. */
interface Edge {
  to: number
  left: number
  cost: number
  /** Index of the edge back. */
  back: number
}

/** What is smaller is rounding. */
const EPSILON = 1e-9

export class FlowNetwork {
  readonly #edges: Edge[] = []
  readonly #from: number[][]
  readonly #source: number
  readonly #sink: number

  constructor(nodes: number, source: number, sink: number) {
    this.#from = Array.from({ length: nodes }, () => [])
    this.#source = source
    this.#sink = sink
  }

  edge(from: number, to: number, capacity: number, cost: number): void {
    const index = this.#edges.length
    this.#edges.push({ to, left: capacity, cost, back: index + 1 }, { to: from, left: 0, cost: -cost, back: index })
    this.#from[from]?.push(index)
    this.#from[to]?.push(index + 1)
  }

  /** The max flow. Uses the network up. */
  most(): number {
    return this.#run().flow
  }

  /** Cost of a unit of flow, in the mean, at the max flow; NaN where nothing flows. Uses the network up. */
  meanCost(): number {
    const { flow, cost } = this.#run()
    return cost / flow
  }

  #run(): { flow: number; cost: number } {
    let flow = 0
    let cost = 0
    for (let path = this.#cheapestPath(); path !== null; path = this.#cheapestPath()) {
      const amount = Math.min(...path.edges.map((edge) => edge.left))
      for (const edge of path.edges) {
        edge.left -= amount
        const back = this.#edges[edge.back] as Edge
        back.left += amount
      }
      flow += amount
      cost += amount * path.cost
    }
    return { flow, cost }
  }

  /** Bellman and Ford's, with a queue: edges back have negative costs. */
  #cheapestPath(): { edges: Edge[]; cost: number } | null {
    const costs = this.#from.map(() => Infinity)
    const reachedBy = new Map<number, Edge>()
    const isQueued = this.#from.map(() => false)
    const queue = [this.#source]
    costs[this.#source] = 0
    for (let head = 0; head < queue.length; head += 1) {
      const node = queue[head] as number
      isQueued[node] = false
      for (const index of this.#from[node] as number[]) {
        const edge = this.#edges[index] as Edge
        const cost = (costs[node] as number) + edge.cost
        if (edge.left <= EPSILON || cost >= (costs[edge.to] as number)) continue
        costs[edge.to] = cost
        reachedBy.set(edge.to, edge)
        if (isQueued[edge.to] === true) continue
        isQueued[edge.to] = true
        queue.push(edge.to)
      }
    }
    const cost = costs[this.#sink] as number
    if (cost === Infinity) return null
    const edges: Edge[] = []
    for (let node = this.#sink; node !== this.#source;) {
      const edge = reachedBy.get(node) as Edge
      edges.push(edge)
      node = (this.#edges[edge.back] as Edge).to
    }
    return { edges, cost }
  }
}
