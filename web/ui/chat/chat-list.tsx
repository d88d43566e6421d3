/** The chats kept in this browser: open, delete, begin a new one. */
import { useSignal } from '@preact/signals'
import { Dialog } from '../parts/dialog.tsx'
import { PlusIcon, TrashIcon } from '../parts/icons.tsx'
import { useServices, useTexts } from '../services.ts'
import type { Chat } from '../state/chat-types.ts'

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
                class="button-icon chat-remove"
                aria-label={chat.remove(title)}
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
        open={removing.value !== null}
        title={chat.delete}
        onClose={() => {
          removing.value = null
        }}
      >
        <p>{chat.removeAsk(removing.value?.title ?? '')}</p>
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
