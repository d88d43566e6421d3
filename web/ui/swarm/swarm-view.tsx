/** The swarm: who serves which blocks, as a map and as a table, what is missing, and the relays. */
import { useSignal } from '@preact/signals'
import { formatBlockRanges } from '../../../swarm/span.ts'
import { ErrorNote } from '../parts/error-note.tsx'
import { useServices, useTexts } from '../services.ts'
import { modelKey } from '../state/models.ts'
import type { SwarmModel } from '../state/ports.ts'
import { coverageOfRecords } from '../state/swarm.ts'
import { PeersTable } from './peers-table.tsx'
import { Relays } from './relays.tsx'
import { SwarmMap } from './swarm-map.tsx'

export function SwarmView() {
  const { swarm, models } = useServices()
  const texts = useTexts()
  const text = texts.messages.swarm
  const snapshot = swarm.snapshot.value
  const picked = useSignal<string | null>(null)
  const chosen = models.chosen.value
  const wanted = picked.value ?? (chosen === null ? null : modelKey(chosen))
  const model =
    snapshot.models.find((candidate) => modelKey(candidate) === wanted) ??
    snapshot.models.find((candidate) => candidate.repo === chosen?.repo) ??
    snapshot.models[0]
  return (
    <section class="page page-wide" aria-labelledby="swarm-title">
      <header class="page-head">
        <h1 id="swarm-title">{text.title}</h1>
        <p class="lead">{text.lead}</p>
      </header>
      {snapshot.error !== null && <ErrorNote error={snapshot.error} />}
      {snapshot.state === 'off' && <p class="hint">{text.off}</p>}
      {snapshot.state === 'joining' && (
        <p class="hint" role="status">
          {text.joining}
        </p>
      )}
      {snapshot.models.length > 1 && model !== undefined && (
        <div class="field field-inline">
          <label for="swarm-model">{text.model}</label>
          <select
            id="swarm-model"
            value={modelKey(model)}
            onChange={(event) => {
              picked.value = event.currentTarget.value
            }}
          >
            {snapshot.models.map((other) => (
              <option key={modelKey(other)} value={modelKey(other)}>
                {other.repo}
              </option>
            ))}
          </select>
        </div>
      )}
      {model !== undefined && <SwarmOfModel model={model} />}
      <Relays relays={snapshot.relays} />
    </section>
  )
}

function SwarmOfModel({ model }: { model: SwarmModel }) {
  const { navigation } = useServices()
  const { messages } = useTexts()
  const text = messages.swarm
  const coverage = coverageOfRecords(model.records, model.blocks)
  // By their blocks, so that map and table read from the first block to the last.
  const records = model.records.toSorted((a, b) => a.span.start - b.span.start || a.span.end - b.span.end)
  return (
    <>
      <div class="swarm-summary" role="status">
        <p>
          {model.records.length === 0 ? text.nobody : text.summary(coverage.peers, coverage.covered, coverage.blocks)}
        </p>
        {coverage.missing.length > 0 && (
          <>
            <p class="swarm-missing" data-testid="swarm-missing">
              {text.missing(coverage.missing.length, formatBlockRanges(coverage.missing))}
            </p>
            <button type="button" class="button" onClick={() => navigation.go('donate')}>
              {text.donateCta}
            </button>
          </>
        )}
      </div>
      <SwarmMap model={{ ...model, records }} coverage={coverage} />
      <PeersTable records={records} />
    </>
  )
}
