/**
 * Which view is shown, kept in the address's fragment so that Back works and a view can be linked. `?donate` opens the
 * donate view; it never starts anything.
 */
import { signal, type Signal } from '@preact/signals'

export const VIEWS = ['chat', 'donate', 'swarm'] as const
export type View = (typeof VIEWS)[number]

export interface Navigation {
  readonly view: Signal<View>
  /** Moves to a view and writes it to the address. */
  go(view: View): void
}

/** The part of `window` that is used. */
export interface AddressBar {
  readonly location: { readonly hash: string; readonly search: string }
  readonly history: { pushState(data: unknown, unused: string, url: string): void }
  addEventListener(type: 'popstate' | 'hashchange', listener: () => void): void
}

export function createNavigation(bar: AddressBar): Navigation {
  const view = signal<View>(readView(bar))
  const follow = () => {
    view.value = readView(bar)
  }
  bar.addEventListener('popstate', follow)
  bar.addEventListener('hashchange', follow)
  return {
    view,
    go(next) {
      if (view.peek() === next) return
      bar.history.pushState(null, '', `${bar.location.search}#${next}`)
      view.value = next
    },
  }
}

function readView(bar: AddressBar): View {
  const hash = bar.location.hash.slice(1)
  const named = VIEWS.find((view) => view === hash)
  if (named !== undefined) return named
  return new URLSearchParams(bar.location.search).has('donate') ? 'donate' : 'chat'
}
