/** The chat: model bar, messages, notices and composer. */
import { useSignalEffect } from '@preact/signals'
import { useEffect, useRef } from 'preact/hooks'
import { ErrorNote } from '../parts/error-note.tsx'
import { useServices, useTexts } from '../services.ts'
import type { Conversation } from '../state/conversation.ts'
import { Announcer } from './announcer.tsx'
import { Composer } from './composer.tsx'
import { EmptyChat } from './empty-chat.tsx'
import { AnswerMessage, UserMessage } from './message.tsx'
import { ModelBar } from './model-bar.tsx'
import { ModelNotices } from './notices.tsx'
import { StatusLine } from './status-line.tsx'

/** Closer to the end than this, the view follows the text as it grows. */
const FOLLOW_PX = 120

export function ChatView() {
  const { models, chats } = useServices()
  const chosen = models.chosen.value
  useEffect(() => {
    void models.prepare()
  }, [models, chosen?.repo, chosen?.revision])
  return (
    <section class="chat" aria-labelledby="chat-title">
      <h1 id="chat-title" class="sr-only">
        {useTexts().messages.chat.title}
      </h1>
      <ModelBar />
      <MessageLog key={chats.current.value.id} />
      <footer class="chat-foot">
        <ModelNotices />
        <StatusLine />
        <Composer />
      </footer>
      <Announcer />
    </section>
  )
}

function MessageLog() {
  const { chats } = useServices()
  const { messages } = useTexts()
  const conversation = chats.current.value
  const log = useRef<HTMLDivElement>(null)
  const follow = useRef(true)
  useSignalEffect(() => {
    // Whatever makes the log longer.
    void [conversation.live.value, conversation.problem.value]
    // The empty chat is read from its top.
    if (conversation.entries.value.length === 0) return
    // After the views have drawn it.
    setTimeout(() => {
      const element = log.current
      if (element !== null && follow.current) element.scrollTop = element.scrollHeight
    })
  })
  return (
    <div
      class="log"
      ref={log}
      role="log"
      aria-live="off"
      aria-label={messages.chat.title}
      tabIndex={0}
      onScroll={(event) => {
        const { scrollHeight, scrollTop, clientHeight } = event.currentTarget
        follow.current = scrollHeight - scrollTop - clientHeight < FOLLOW_PX
      }}
    >
      <div class="log-inner">
        <Entries conversation={conversation} />
        <LiveAnswer conversation={conversation} />
        <AfterEntries conversation={conversation} />
      </div>
    </div>
  )
}

/** Finished messages. Apart from the one being written, so that a token does not draw a long chat anew. */
function Entries({ conversation }: { conversation: Conversation }) {
  const entries = conversation.entries.value
  const busy = conversation.busy.value
  if (entries.length === 0 && !busy) return <EmptyChat />
  return (
    <>
      {entries.map((entry, i) =>
        entry.role === 'user' ? (
          <UserMessage key={i} entry={entry} />
        ) : (
          <AnswerMessage
            key={i}
            entry={entry}
            actions={
              i === entries.length - 1 && !busy
                ? { retry: () => void conversation.retry(), resume: () => void conversation.resume() }
                : null
            }
          />
        ),
      )}
    </>
  )
}

function LiveAnswer({ conversation }: { conversation: Conversation }) {
  const live = conversation.live.value
  return live === null ? null : <AnswerMessage entry={live} actions={null} />
}

function AfterEntries({ conversation }: { conversation: Conversation }) {
  const { chats } = useServices()
  const { messages } = useTexts()
  const problem = conversation.problem.value
  const storageProblem = chats.problem.value
  const isUnanswered = !conversation.busy.value && conversation.entries.value.at(-1)?.role === 'user'
  return (
    <>
      {problem !== null && <ErrorNote error={problem} onDismiss={() => conversation.dismissProblem()} />}
      {storageProblem !== null && <ErrorNote error={storageProblem} onDismiss={() => chats.dismissProblem()} />}
      {isUnanswered && (
        <button type="button" class="button-quiet" onClick={() => void conversation.retry()}>
          {messages.chat.retry}
        </button>
      )}
    </>
  )
}
