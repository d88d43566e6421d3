/** Everything the components use, handed down through one context; `main.ts` builds it, tests build it with fakes. */
import { computed, type ReadonlySignal } from '@preact/signals'
import { createContext } from 'preact'
import { useContext } from 'preact/hooks'
import { textsFor, type Texts } from './i18n/texts.ts'
import type { AfterDiscard } from './state/after-discard.ts'
import type { Chats } from './state/chats.ts'
import type { ContextMeter } from './state/context-meter.ts'
import type { Donating } from './state/donating.ts'
import type { KeptModels } from './state/kept-models.ts'
import type { Models } from './state/models.ts'
import type { Navigation } from './state/navigation.ts'
import type { Power } from './state/power.ts'
import type { Preferences } from './state/preferences.ts'
import type { ScreenLockState } from './state/screen-lock.ts'
import type { ReachProbe } from './state/reach.ts'
import type { SwarmState } from './state/swarm.ts'
import type { LinkNote } from './state/ports.ts'
import type { UpdateState } from './state/update.ts'

export interface Environment {
  version: string
  userAgent: string
  /** Whether `navigator.gpu` exists; whether an adapter answers is known only after asking. */
  hasWebGpu: boolean
  /** What the link asks for and the page does not know. */
  linkNotes: readonly LinkNote[]
  copyText(text: string): Promise<void>
  /** Memory only; '' forgets it. */
  setHubToken(token: string): void
}

export interface Services {
  preferences: Preferences
  navigation: Navigation
  models: Models
  chats: Chats
  meter: ContextMeter
  donating: Donating
  afterDiscard: AfterDiscard
  power: Power
  screenLock: ReadonlySignal<ScreenLockState>
  kept: KeptModels
  reach: ReachProbe
  swarm: SwarmState
  update: UpdateState
  environment: Environment
  texts: ReadonlySignal<Texts>
}

export function withTexts(services: Omit<Services, 'texts'>): Services {
  return { ...services, texts: computed(() => textsFor(services.preferences.language.value)) }
}

const ServicesContext = createContext<Services | null>(null)
export const ServicesProvider = ServicesContext.Provider

export function useServices(): Services {
  const services = useContext(ServicesContext)
  if (services === null) throw new Error('bug: a component is used outside ServicesProvider')
  return services
}

export function useTexts(): Texts {
  return useServices().texts.value
}
