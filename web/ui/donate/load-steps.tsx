/** Progress of loading a span, phase by phase, with bytes, speed and time left. */
import type { LoadProgress } from '../../donor/state.ts'
import { useTexts } from '../services.ts'

const PHASES = ['choose', 'download', 'verify', 'upload', 'measure'] as const

export function LoadSteps({ progress }: { progress: LoadProgress }) {
  const { donate } = useTexts().messages
  const current = PHASES.indexOf(progress.phase)
  return (
    <ol class="steps" data-testid="donate-progress" data-phase={progress.phase}>
      {PHASES.map((phase, i) => {
        const state = i < current ? 'done' : i === current ? 'current' : 'waiting'
        return (
          <li key={phase} class={`step step-${state}`} aria-current={state === 'current' ? 'step' : undefined}>
            <span class="step-name">{donate.phases[phase]}</span>
            {state === 'done' && <span class="step-note">{donate.phaseDone}</span>}
            {state === 'current' && <PhaseProgress progress={progress} label={donate.phases[phase]} />}
          </li>
        )
      })}
    </ol>
  )
}

function PhaseProgress({ progress, label }: { progress: LoadProgress; label: string }) {
  const { messages, formats } = useTexts()
  const { donate } = messages
  const { doneBytes, totalBytes, cachedBytes, bytesPerSecond, etaSeconds } = progress
  const parts = [
    ...(totalBytes > 0 ? [donate.phaseOf(formats.bytes(doneBytes), formats.bytes(totalBytes))] : []),
    ...(bytesPerSecond > 0 ? [donate.phaseSpeed(formats.bytes(bytesPerSecond))] : []),
    ...(etaSeconds === null || totalBytes === 0 ? [] : [donate.phaseEta(formats.duration(etaSeconds * 1000))]),
    ...(cachedBytes > 0 ? [donate.phaseCached(formats.bytes(cachedBytes))] : []),
  ]
  const text = parts.join(' · ')
  return (
    <>
      <span class="step-note">{text}</span>
      {totalBytes > 0 ? (
        <progress
          class="step-bar"
          aria-label={label}
          aria-valuetext={text}
          max={totalBytes}
          value={Math.min(doneBytes, totalBytes)}
        />
      ) : (
        <progress class="step-bar" aria-label={label} />
      )}
    </>
  )
}
