/** What this browser keeps of models, how much room there is, and deleting; there whether or not the tab donates. */
import { useSignal } from '@preact/signals'
import { useEffect } from 'preact/hooks'
import { Dialog } from '../parts/dialog.tsx'
import { useServices, useTexts } from '../services.ts'
import type { KeptListing, KeptModel } from '../state/ports.ts'
import type { KeptNews } from '../state/kept-models.ts'
import type { Texts } from '../i18n/texts.ts'

export function CacheList() {
  const { kept, donating } = useServices()
  const { messages, formats } = useTexts()
  const listing = kept.listing.value
  const { status } = donating.state.value
  useEffect(() => void kept.refresh(), [kept, status])
  useEffect(() => {
    // A tab that was closed meanwhile says nothing of it.
    const look = (): void => void kept.refresh()
    window.addEventListener('focus', look)
    return () => window.removeEventListener('focus', look)
  }, [kept])
  if (listing === null) return null
  const bytes = listing === 'none' ? 0 : listing.models.reduce((sum, model) => sum + model.bytes, 0)
  return (
    <details class="kept" data-testid="kept" onToggle={() => void kept.refresh()}>
      <summary>{bytes === 0 ? messages.kept.title : messages.kept.titleTotal(formats.bytes(bytes))}</summary>
      <div class="kept-body">
        {listing === 'none' ? <p>{messages.kept.none}</p> : <Kept listing={listing} />}
        <News />
      </div>
    </details>
  )
}

function Kept({ listing }: { listing: KeptListing }) {
  const { kept } = useServices()
  const { messages, formats } = useTexts()
  const text = messages.kept
  const asked = useSignal<KeptModel | null>(null)
  const { models, usedBytes, quotaBytes, fate } = listing
  const close = (): void => {
    asked.value = null
  }
  return (
    <>
      {models.length === 0 ? (
        <p>{text.nothing}</p>
      ) : (
        <ul class="kept-models">
          {models.map((model) => (
            <li key={nameOf(model)} class="kept-model">
              <span class="kept-name">
                {model.repo} <span class="fine">{model.revision.slice(0, 10)}</span>
              </span>
              <span class="number">{formats.bytes(model.bytes)}</span>
              {model.inUse ? (
                <span class="fine">{text.inUse}</span>
              ) : (
                <button
                  type="button"
                  class="button-quiet"
                  aria-label={text.delete(nameOf(model))}
                  onClick={() => {
                    asked.value = model
                  }}
                >
                  {messages.chat.delete}
                </button>
              )}
            </li>
          ))}
        </ul>
      )}
      {models.some(({ inUse }) => inUse) && <p class="fine">{text.inUseHelp}</p>}
      {usedBytes !== null && quotaBytes !== null && (
        <p class="fine">{text.room(formats.bytes(usedBytes), formats.bytes(quotaBytes))}</p>
      )}
      {models.length > 0 && (
        <p class="fine" data-testid="kept-fate">
          {text.fates[fate]}
        </p>
      )}
      <Dialog open={asked.value !== null} title={text.deleteTitle} onClose={close}>
        <p>{asked.value !== null && text.deleteAsk(nameOf(asked.value), formats.bytes(asked.value.bytes))}</p>
        <div class="row">
          <span class="spring" />
          <button type="button" class="button-quiet" onClick={close}>
            {messages.chat.cancel}
          </button>
          <button
            type="button"
            class="button button-stop"
            data-testid="kept-delete"
            onClick={() => {
              if (asked.value !== null) void kept.remove(asked.value)
              close()
            }}
          >
            {messages.chat.delete}
          </button>
        </div>
      </Dialog>
    </>
  )
}

function News() {
  const { kept } = useServices()
  const texts = useTexts()
  const news = kept.news.value
  const went = news === null || news.deletion.outcome === 'deleted'
  return (
    <div role="status" data-testid="kept-news">
      {news !== null && <p class={went ? '' : 'note note-warn'}>{newsText(news, texts)}</p>}
    </div>
  )
}

function newsText({ model, deletion }: KeptNews, { messages, formats }: Texts): string {
  const text = messages.kept
  const name = nameOf(model)
  switch (deletion.outcome) {
    case 'deleted':
      return text.deleted(name, formats.bytes(deletion.freedBytes))
    case 'in-use':
      return text.deleteRefused(name)
    case 'partly':
      return text.deletePartly(
        name,
        formats.bytes(deletion.freedBytes),
        formats.bytes(deletion.leftBytes),
        deletion.reason,
      )
    default:
      return deletion satisfies never
  }
}

/** Two revisions of one model are two entries. */
function nameOf({ repo, revision }: KeptModel): string {
  return `${repo}@${revision.slice(0, 10)}`
}
