/** The donor's log, word for word as the command line prints it. */
import { useEffect, useRef } from 'preact/hooks'
import { useServices, useTexts } from '../services.ts'

/** More lines than a person reads; older ones are in the browser's console. */
const SHOWN_LINES = 400

export function LogPanel() {
  const { donating } = useServices()
  const { messages, formats } = useTexts()
  const { donate } = messages
  const lines = donating.log.value.slice(-SHOWN_LINES)
  const panel = useRef<HTMLDivElement>(null)
  useEffect(() => {
    const element = panel.current
    if (element !== null) element.scrollTop = element.scrollHeight
  }, [lines.length])
  if (lines.length === 0) return null
  return (
    <details class="log-panel" open>
      <summary>{donate.log}</summary>
      <div
        class="log-lines"
        ref={panel}
        data-testid="donate-log"
        role="log"
        aria-live="off"
        aria-label={donate.log}
        tabIndex={0}
      >
        {lines.map((line, i) => (
          <p key={i} class={`log-${line.level}`}>
            <time dateTime={new Date(line.at).toISOString()}>{formats.time(line.at)}</time> <span>{line.text}</span>
          </p>
        ))}
      </div>
    </details>
  )
}
