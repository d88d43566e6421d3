/** What should be known of the chosen model before it is asked, and whether the chat is kept. */
import { ErrorNote } from '../parts/error-note.tsx'
import { useServices, useTexts } from '../services.ts'

export function ModelNotices() {
  const { models, chats } = useServices()
  const { chat } = useTexts().messages
  const chosen = models.chosen.value
  const opened = models.opened.value
  const problem = models.problem.value
  const isEmpty = chats.current.value.entries.value.length === 0
  const lines = [
    ...(chosen?.embedded === true && isEmpty ? [chat.knowsLittle] : []),
    ...(opened !== null && !opened.hasTokenizer ? [chat.noTokenizer] : []),
    ...(opened !== null && opened.hasTokenizer && !opened.hasChatTemplate ? [chat.noTemplate] : []),
    ...(chats.durable ? [] : [chat.notDurable]),
  ]
  return (
    <>
      {lines.map((line) => (
        <p key={line} class="hint" data-testid="model-hint">
          {line}
        </p>
      ))}
      {problem !== null && <ErrorNote error={problem} takesToken />}
    </>
  )
}
