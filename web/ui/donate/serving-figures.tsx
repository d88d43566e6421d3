/** A serving tab's live figures. */
import { useSignal } from '@preact/signals'
import { useEffect } from 'preact/hooks'
import type { DonorState } from '../../donor/state.ts'
import { useTexts } from '../services.ts'
import { ReachPanel } from './reach-panel.tsx'
import { shortPeerId } from '../state/swarm.ts'

export function ServingFigures({ state }: { state: Extract<DonorState, { status: 'serving' }> }) {
  const { messages, formats } = useTexts()
  const { donate } = messages
  const { stats } = state
  const now = useSignal(Date.now())
  useEffect(() => {
    const timer = setInterval(() => {
      now.value = Date.now()
    }, 1000)
    return () => clearInterval(timer)
  }, [now])
  const figures: [string, string][] = [
    [donate.throughput, donate.throughputValue(formats.decimal(state.throughput))],
    [donate.sessions, formats.integer(stats.sessions)],
    [donate.tokensServed, formats.integer(stats.tokensServed)],
    [donate.stepsServed, formats.integer(stats.stepsServed)],
    [donate.gpuTime, stats.gpuMsPerStep === null ? '–' : formats.shortTime(stats.gpuMsPerStep)],
    [donate.receivedDirectly, formats.bytes(stats.bytesIn - stats.relayedIn)],
    [donate.receivedByRelay, formats.bytes(stats.relayedIn)],
    [donate.sentDirectly, formats.bytes(stats.bytesOut - stats.relayedOut)],
    [donate.sentByRelay, formats.bytes(stats.relayedOut)],
    [donate.fetched, formats.bytes(stats.bytesFetched)],
    [donate.uptime, formats.elapsed(Math.max(0, now.value - stats.startedAt))],
    [donate.peer, shortPeerId(state.peerId)],
  ]
  return (
    <>
      <dl class="tiles" data-testid="donate-stats" data-peer={state.peerId}>
        {figures.map(([label, value]) => (
          <div key={label} class="tile">
            <dt>{label}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
      <ReachPanel />
    </>
  )
}
