/** One message of a chat: the person's, or the model's with its route, figures and what happened on the way. */
import { Markdown } from '../markdown/nodes.tsx'
import { CopyButton } from '../parts/copy-button.tsx'
import { ErrorNote } from '../parts/error-note.tsx'
import { ContinueIcon, Mark, RetryIcon } from '../parts/icons.tsx'
import { useTexts } from '../services.ts'
import type { AnswerEntry, UserEntry } from '../state/chat-types.ts'
import { shortPeerId } from '../state/swarm.ts'
import { RouteStrip } from './route-strip.tsx'

export function UserMessage({ entry }: { entry: UserEntry }) {
  const { chat } = useTexts().messages
  return (
    <article class="message message-user" aria-label={chat.you} data-testid="chat-message-user">
      <p class="plain">{entry.text}</p>
    </article>
  )
}

export interface AnswerActions {
  retry: () => void
  resume: () => void
}

/** `actions` only for the last answer, and not while one is being written. */
export function AnswerMessage({ entry, actions }: { entry: AnswerEntry; actions: AnswerActions | null }) {
  const { chat } = useTexts().messages
  const writing = entry.status === 'streaming'
  const resumable = entry.ids.length > 0 && (entry.status === 'done' ? entry.cut : !writing)
  return (
    <article
      class={`message message-answer ${writing ? 'is-writing' : ''}`}
      aria-label={chat.answer(entry.model.repo)}
      aria-busy={writing}
      data-testid="chat-message-assistant"
      data-state={entry.status}
    >
      <div class="message-mark">
        <Mark size={24} />
      </div>
      <div class="message-body">
        {(writing || entry.text !== '') && (
          <div class="message-text" data-testid="chat-message-text">
            <Markdown text={entry.text} />
            {writing && <span class="caret" aria-hidden="true" />}
          </div>
        )}
        <Happenings entry={entry} />
        {entry.error !== null && <ErrorNote error={entry.error} />}
        <div class="message-foot">
          <Figures entry={entry} />
          {entry.route.length > 0 && <RouteStrip route={entry.route} line={entry.routeLine} />}
          {!writing && (
            <div class="message-actions">
              {entry.text !== '' && <CopyButton text={() => entry.text} />}
              {actions !== null && (
                <button type="button" class="button-quiet" data-testid="chat-retry" onClick={actions.retry}>
                  <RetryIcon />
                  {chat.retry}
                </button>
              )}
              {actions !== null && resumable && (
                <button type="button" class="button-quiet" data-testid="chat-continue" onClick={actions.resume}>
                  <ContinueIcon />
                  {chat.resume}
                </button>
              )}
            </div>
          )}
        </div>
      </div>
    </article>
  )
}

/** What happened to the answer, in sentences. */
function Happenings({ entry }: { entry: AnswerEntry }) {
  const { messages, formats } = useTexts()
  const { chat } = messages
  const lines = [
    ...entry.lost.map(({ peerId, afterMs, handedOver }) =>
      handedOver === true
        ? chat.handedOver(shortPeerId(peerId))
        : chat.lost(shortPeerId(peerId), formats.duration(afterMs)),
    ),
    ...(entry.status === 'interrupted' ? [chat.interrupted] : []),
    ...(entry.status === 'stopped' ? [chat.stopped] : []),
    ...(entry.status === 'done' && entry.cut ? [chat.cut] : []),
  ]
  if (lines.length === 0) return null
  return (
    <ul class="happenings">
      {lines.map((line, i) => (
        <li key={i}>{line}</li>
      ))}
    </ul>
  )
}

function Figures({ entry }: { entry: AnswerEntry }) {
  const { messages, formats } = useTexts()
  const { chat } = messages
  const { stats } = entry
  const parts = [entry.model.repo, ...(entry.raw ? [chat.promptedRaw] : [])]
  if (stats !== null) {
    parts.push(
      chat.tokens(formats.integer(stats.generatedTokens)),
      chat.speed(formats.decimal(stats.tokensPerSecond)),
      chat.firstToken(formats.duration(stats.timeToFirstTokenMs)),
      chat.reused(
        formats.integer(stats.reusedTokens),
        formats.integer(Math.max(0, stats.promptTokens - stats.reusedTokens)),
      ),
    )
    const { speculation } = stats
    // Guesses that came to nothing are nothing to read about.
    if (speculation !== undefined && speculation.accepted > 0) {
      const { laps, drafted, accepted } = speculation
      parts.push(chat.guessed(formats.decimal(accepted / laps), formats.integer(accepted), formats.integer(drafted)))
    }
  }
  return (
    <p class="figures" data-testid="chat-figures">
      {parts.map((part, i) => (
        <span key={i}>{part}</span>
      ))}
    </p>
  )
}
