/**
 * Tabs by blocks. Each state has its own shape as well as its colour: a full cell serves, a hatched one is claimed, an
 * outlined one is leaving. For readers it is one image with a summary; the table says the rest.
 */
import { formatSpan } from '../../../swarm/span.ts'
import { useTexts } from '../services.ts'
import type { SwarmModel } from '../state/ports.ts'
import { cellState, shortPeerId, type CellState, type Coverage } from '../state/swarm.ts'

const LEGEND: readonly CellState[] = ['online', 'claimed', 'leaving', 'none']

export function SwarmMap({ model, coverage }: { model: SwarmModel; coverage: Coverage }) {
  const text = useTexts().messages.swarm
  const columns = { '--columns': model.blocks }
  return (
    <figure class="map-figure" data-testid="swarm-map">
      <div class="map-scroll" tabIndex={0} role="group" aria-label={text.map}>
        <div
          class="map"
          style={columns}
          role="img"
          aria-label={text.summary(coverage.peers, coverage.covered, coverage.blocks)}
        >
          <span class="map-corner">{text.copies}</span>
          {coverage.replicas.map((count, block) => (
            <span key={block} class={`map-copies map-copies-${count === 0 ? 'none' : count === 1 ? 'one' : 'more'}`}>
              <span class="map-block">{block}</span>
              <span class="map-count">{count}</span>
            </span>
          ))}
          {model.records.map((record) => (
            <MapRow key={record.peerId} record={record} blocks={model.blocks} />
          ))}
        </div>
      </div>
      <figcaption>
        <ul class="legend" aria-label={text.legend}>
          {LEGEND.map((state) => (
            <li key={state}>
              <span class={`map-cell map-cell-${state}`} aria-hidden="true" />
              {text[state]}
            </li>
          ))}
        </ul>
        <p class="help">{text.mapHelp}</p>
      </figcaption>
    </figure>
  )
}

function MapRow({ record, blocks }: { record: SwarmModel['records'][number]; blocks: number }) {
  return (
    <>
      <span class="map-peer" title={record.peerId}>
        {shortPeerId(record.peerId)}
      </span>
      {Array.from({ length: blocks }, (_, block) => (
        <span
          key={block}
          class={`map-cell map-cell-${cellState(record, block)}`}
          title={`${shortPeerId(record.peerId)} ${formatSpan(record.span)}`}
        />
      ))}
    </>
  )
}
