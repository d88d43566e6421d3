/** The page's frame: brand, views, chats and preferences around the view that is open. */
import { useSignal } from '@preact/signals'
import { useEffect } from 'preact/hooks'
import { ChatList, NewChatButton } from './chat/chat-list.tsx'
import { ChatView } from './chat/chat-view.tsx'
import { DonateView } from './donate/donate-view.tsx'
import { Dialog } from './parts/dialog.tsx'
import { Mark, MenuIcon } from './parts/icons.tsx'
import { PreferenceFields } from './parts/preference-fields.tsx'
import { UpdateNotice } from './parts/update-notice.tsx'
import { useServices, useTexts } from './services.ts'
import { isRunning } from './state/donating.ts'
import { VIEWS } from './state/navigation.ts'
import { JoinQuestion } from './swarm/join-question.tsx'
import { LinkNotice } from './swarm/link-notice.tsx'
import { RelayNotice } from './swarm/relay-notice.tsx'
import { SwarmView } from './swarm/swarm-view.tsx'

export function App() {
  const { navigation, preferences } = useServices()
  const { language, messages } = useTexts()
  const view = navigation.view.value
  const theme = preferences.theme.value
  useEffect(() => {
    const root = document.documentElement
    root.lang = language
    root.dataset['theme'] = theme
    document.title = view === 'chat' ? messages.app.name : `${messages.app[view]} · ${messages.app.name}`
  }, [language, messages, theme, view])
  return (
    <div class={`shell shell-${view}`}>
      <a class="skip" href="#content" onClick={focusContent}>
        {messages.app.skip}
      </a>
      <TopBar />
      <aside class="rail" aria-label={messages.app.menu}>
        <RailContents />
      </aside>
      <main id="content" tabIndex={-1}>
        <UpdateNotice />
        <LinkNotice />
        <JoinQuestion />
        <RelayNotice />
        {view === 'chat' && <ChatView />}
        {view === 'donate' && <DonateView />}
        {view === 'swarm' && <SwarmView />}
      </main>
    </div>
  )
}

/** The fragment is the view's name, so the link to the content moves the focus itself. */
function focusContent(event: MouseEvent): void {
  event.preventDefault()
  document.querySelector<HTMLElement>('#content')?.focus()
}

function TopBar() {
  const { app } = useTexts().messages
  const menu = useSignal(false)
  const close = () => {
    menu.value = false
  }
  return (
    <header class="top">
      <a class="brand" href="#chat">
        <Mark size={30} />
        <span>{app.name}</span>
      </a>
      <Views />
      <button
        type="button"
        class="button-icon top-menu"
        aria-label={app.menu}
        aria-haspopup="dialog"
        onClick={() => {
          menu.value = true
        }}
      >
        <MenuIcon />
      </button>
      <Dialog open={menu.value} title={app.name} onClose={close} class="dialog-side">
        <RailContents onDone={close} />
      </Dialog>
    </header>
  )
}

function Views() {
  const { navigation, donating } = useServices()
  const { app } = useTexts().messages
  const view = navigation.view.value
  return (
    <nav class="views" aria-label={app.views}>
      {VIEWS.map((name) => (
        <a
          key={name}
          href={`#${name}`}
          aria-current={view === name ? 'page' : undefined}
          onClick={(event) => {
            event.preventDefault()
            navigation.go(name)
          }}
        >
          {app[name]}
          {name === 'donate' && isRunning(donating.state.value) && <span class="views-live" aria-hidden="true" />}
        </a>
      ))}
    </nav>
  )
}

function RailContents({ onDone }: { onDone?: () => void }) {
  const { environment } = useServices()
  const { app } = useTexts().messages
  return (
    <div class="rail-inner">
      <NewChatButton {...(onDone === undefined ? {} : { onDone })} />
      <ChatList {...(onDone === undefined ? {} : { onDone })} />
      <div class="rail-foot">
        <PreferenceFields idPrefix={onDone === undefined ? 'rail' : 'menu'} />
        <p class="fine">{app.version(environment.version)}</p>
      </div>
    </div>
  )
}
