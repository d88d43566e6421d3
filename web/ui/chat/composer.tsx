/** Where a message is written. Enter sends, Shift+Enter breaks the line, Enter while composing Hangul does neither. */
import { useSignal } from '@preact/signals'
import { useEffect, useRef } from 'preact/hooks'
import { EyeIcon, SendIcon, StopIcon, TuneIcon } from '../parts/icons.tsx'
import { useServices, useTexts } from '../services.ts'
import { isSendKey } from './keys.ts'
import { SettingsDialog } from './settings-dialog.tsx'

export function Composer() {
  const { chats, meter, models, preferences } = useServices()
  const { messages, formats } = useTexts()
  const { chat, settings } = messages
  const conversation = chats.current.value
  const busy = conversation.busy.value
  const usage = meter.usage.value
  const full = meter.full.value
  const opened = models.opened.value
  const settingsOpen = useSignal(false)
  const input = useRef<HTMLTextAreaElement>(null)
  const draft = meter.draft.value
  useEffect(() => {
    // Where a finger points, focus opens a keyboard over half the screen: not before the person asks for it.
    if (matchMedia('(hover: hover)').matches) input.current?.focus({ preventScroll: true })
  }, [conversation.id])

  const send = async () => {
    const text = meter.draft.peek()
    if (text.trim() === '' || conversation.busy.peek() || meter.full.peek()) return
    meter.draft.value = ''
    // What could not be taken comes back to where it was written, unless something new stands there.
    if (!(await conversation.send(text)) && meter.draft.peek() === '') meter.draft.value = text
  }
  const label = opened !== null && !opened.hasTokenizer ? chat.inputIds : chat.input
  return (
    <div class="composer-area">
      {full && usage !== null && (
        <p class="note note-warn" role="status" data-testid="context-full">
          {chat.contextFull(formats.integer(usage.used), formats.integer(usage.context))}
        </p>
      )}
      <form
        class="composer"
        onSubmit={(event) => {
          event.preventDefault()
          void send()
        }}
      >
        <textarea
          ref={input}
          class="composer-input"
          data-testid="chat-input"
          aria-label={label}
          aria-describedby="privacy-notice"
          placeholder={label}
          rows={1}
          value={draft}
          onInput={(event) => {
            meter.draft.value = event.currentTarget.value
          }}
          onKeyDown={(event) => {
            if (!isSendKey(event)) return
            event.preventDefault()
            void send()
          }}
        />
        <div class="composer-tools">
          <button
            type="button"
            class={`button-quiet ${preferences.adjusted.value ? 'is-on' : ''}`}
            data-testid="chat-settings"
            onClick={() => {
              settingsOpen.value = true
            }}
          >
            <TuneIcon />
            <span class="wide-only">{preferences.adjusted.value ? settings.adjusted : settings.open}</span>
            <span class="sr-only narrow-only">{settings.open}</span>
          </button>
          {usage !== null && usage.used > 0 && (
            <span class="meter" data-testid="context-meter">
              {chat.context(formats.integer(usage.used), formats.integer(usage.context))}
            </span>
          )}
          <span class="spring" />
          {busy ? (
            <button
              type="button"
              class="button button-stop"
              data-testid="chat-stop"
              onClick={() => conversation.stop()}
            >
              <StopIcon />
              {chat.stop}
            </button>
          ) : (
            <button
              type="submit"
              class="button button-send"
              data-testid="chat-send"
              disabled={draft.trim() === '' || full}
            >
              <SendIcon />
              {chat.send}
            </button>
          )}
        </div>
      </form>
      <p class="privacy" id="privacy-notice" data-testid="notice-privacy">
        <EyeIcon />
        {chat.privacy}
      </p>
      <SettingsDialog
        open={settingsOpen.value}
        onClose={() => {
          settingsOpen.value = false
        }}
      />
    </div>
  )
}
