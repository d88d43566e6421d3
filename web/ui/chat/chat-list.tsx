/** The chats kept in this browser: open, rename, delete, begin a new one. */
import { useSignal } from '@preact/signals'
import { Dialog } from '../parts/dialog.tsx'
import { PlusIcon, RenameIcon, TrashIcon } from '../parts/icons.tsx'
import { useServices, useTexts } from '../services.ts'
import type { Chat } from '../state/chat-types.ts'
import { TITLE_CHARS } from '../state/conversation.ts'

export function NewChatButton({ onDone }: { onDone?: () => void }) {
  const { chats, navigation } = useServices()
  const { chat } = useTexts().messages
  return (
    <button
      type="button"
      class="button-quiet button-new"
      data-testid="chat-new"
      onClick={() => {
        chats.create()
        navigation.go('chat')
        onDone?.()
      }}
    >
      <PlusIcon />
      {chat.newChat}
    </button>
  )
}

export function ChatList({ onDone }: { onDone?: () => void }) {
  const { chats, navigation } = useServices()
  const { chat } = useTexts().messages
  const removing = useSignal<Chat | null>(null)
  const renaming = useSignal<Chat | null>(null)
  const list = chats.list.value
  if (list.length === 0) return <p class="help">{chat.noChats}</p>
  return (
    <>
      <ul class="chat-list" aria-label={chat.chats}>
        {list.map((item) => {
          const title = item.title === '' ? chat.untitled : item.title
          return (
            <li key={item.id} class="chat-item">
              <button
                type="button"
                class="chat-open"
                aria-current={chats.current.value.id === item.id ? 'true' : undefined}
                onClick={() => {
                  void chats.open(item.id)
                  navigation.go('chat')
                  onDone?.()
                }}
              >
                {title}
              </button>
              <button
                type="button"
                class="button-icon chat-action"
                aria-label={chat.rename(title)}
                data-testid="chat-rename"
                onClick={() => {
                  renaming.value = item
                }}
              >
                <RenameIcon />
              </button>
              <button
                type="button"
                class="button-icon chat-action"
                aria-label={chat.remove(title)}
                data-testid="chat-remove"
                onClick={() => {
                  removing.value = item
                }}
              >
                <TrashIcon />
              </button>
            </li>
          )
        })}
      </ul>
      <Dialog
        open={renaming.value !== null}
        title={chat.renameTitle}
        onClose={() => {
          renaming.value = null
        }}
      >
        {renaming.value !== null && (
          <RenameForm
            title={renaming.value.title}
            onName={(title) => {
              if (title !== null && renaming.value !== null) void chats.rename(renaming.value.id, title)
              renaming.value = null
            }}
          />
        )}
      </Dialog>
      <Dialog
        open={removing.value !== null}
        title={chat.delete}
        onClose={() => {
          removing.value = null
        }}
      >
        <p>{chat.removeAsk(removing.value?.title || chat.untitled)}</p>
        <div class="row">
          <span class="spring" />
          <button
            type="button"
            class="button-quiet"
            onClick={() => {
              removing.value = null
            }}
          >
            {chat.cancel}
          </button>
          <button
            type="button"
            class="button button-stop"
            onClick={() => {
              if (removing.value !== null) void chats.remove(removing.value.id)
              removing.value = null
            }}
          >
            {chat.delete}
          </button>
        </div>
      </Dialog>
    </>
  )
}

function RenameForm({ title, onName }: { title: string; onName: (title: string | null) => void }) {
  const { chat } = useTexts().messages
  const text = useSignal(title)
  return (
    <form
      class="fields"
      onSubmit={(event) => {
        event.preventDefault()
        onName(text.peek())
      }}
    >
      <div class="field">
        <label for="chat-title-field">{chat.renameLabel}</label>
        <input
          id="chat-title-field"
          type="text"
          required
          maxLength={TITLE_CHARS}
          autocomplete="off"
          value={text.value}
          onInput={(event) => {
            text.value = event.currentTarget.value
          }}
        />
      </div>
      <div class="row">
        <span class="spring" />
        <button type="button" class="button-quiet" onClick={() => onName(null)}>
          {chat.cancel}
        </button>
        <button type="submit" class="button">
          {chat.save}
        </button>
      </div>
    </form>
  )
}
