/** One mark a block with its number of copies: none, one, or more. Shape and number carry it, colour only helps. */
import type { Coverage } from '../state/swarm.ts'

export function CoverageStrip({ coverage, label }: { coverage: Coverage; label: string }) {
  return (
    <span class="coverage" role="img" aria-label={label}>
      {coverage.replicas.map((count, block) => (
        <span key={block} class={`coverage-block coverage-${count === 0 ? 'none' : count === 1 ? 'one' : 'more'}`} />
      ))}
    </span>
  )
}
