import { describe, expect, test } from 'vitest'
import { DEFAULT_SETTINGS } from '../../../../../web/ui/state/chat-types.ts'
import { createNavigation, type AddressBar } from '../../../../../web/ui/state/navigation.ts'
import { createPreferences, readSettings, readStopTexts } from '../../../../../web/ui/state/preferences.ts'

const memory = (start: Record<string, string> = {}) => {
  const kept = new Map(Object.entries(start))
  return {
    kept,
    get: (key: string) => kept.get(key) ?? null,
    set: (key: string, value: string) => void kept.set(key, value),
  }
}

describe('language', () => {
  test.each([
    [['ko-KR', 'en'], 'ko'],
    [['ja', 'ko'], 'ko'],
    [['en-GB'], 'en'],
    [['fr'], 'en'],
    [[], 'en'],
  ])('%s gives %s', (browser, language) => {
    expect(createPreferences(memory(), browser).language.peek()).toBe(language)
  })

  test('what was chosen before wins and is kept', () => {
    const storage = memory({ language: 'ko' })
    const preferences = createPreferences(storage, ['en'])
    expect(preferences.language.peek()).toBe('ko')
    preferences.language.value = 'en'
    expect(storage.kept.get('language')).toBe('en')
  })

  test('nothing is stored before something is chosen', () => {
    const storage = memory()
    createPreferences(storage, ['ko'])
    expect([...storage.kept]).toEqual([])
  })
})

describe('stored settings', () => {
  test.each([null, 'not json', '3', 'null', '[]'])('%s are the defaults', (stored) => {
    expect(readSettings(stored)).toEqual(DEFAULT_SETTINGS)
  })

  test('stop texts are one a line, without empty ones', () => {
    expect(readStopTexts('###\n\n끝.\n')).toEqual(['###', '끝.'])
    expect(readSettings(JSON.stringify({ stop: ['###', '', 3] })).stop).toEqual(['###', '3'])
  })

  test.each(['off', 'auto'] as const)('guesses: %s', (speculate) => {
    expect(readSettings(JSON.stringify({ speculate })).speculate).toBe(speculate)
  })

  test('values that do not fit fall back one by one', () => {
    const stored = JSON.stringify({
      temperature: 0,
      topP: 7,
      topK: 'x',
      maxTokens: -1,
      seed: 5,
      systemPrompt: 3,
      stop: 'x',
      speculate: 7,
    })
    expect(readSettings(stored)).toEqual({ ...DEFAULT_SETTINGS, temperature: 0, seed: 5 })
  })
})

describe('the address', () => {
  const bar = (hash: string, search = ''): AddressBar & { pushed: string[]; fire: () => void } => {
    const listeners: (() => void)[] = []
    const pushed: string[] = []
    const location = { hash, search }
    return {
      pushed,
      location,
      history: {
        pushState: (_data, _unused, url) => {
          pushed.push(url)
          location.hash = url.slice(url.indexOf('#'))
        },
      },
      addEventListener: (_type, listener) => void listeners.push(listener),
      fire: () => listeners.forEach((listener) => listener()),
    }
  }
  test.each([
    ['', '', 'chat'],
    ['', '?donate', 'donate'],
    ['#swarm', '?donate', 'swarm'],
    ['#nonsense', '', 'chat'],
  ])('%s %s opens %s', (hash, search, view) => {
    expect(createNavigation(bar(hash, search)).view.peek()).toBe(view)
  })

  test('keeps the query, and Back goes back', () => {
    const address = bar('', '?model=a')
    const navigation = createNavigation(address)
    navigation.go('swarm')
    expect(address.pushed).toEqual(['?model=a#swarm'])
    ;(address.location as { hash: string }).hash = ''
    address.fire()
    expect(navigation.view.peek()).toBe('chat')
  })
})

test('what was chosen for a donor tab is kept', () => {
  const storage = memory()
  const { power } = createPreferences(storage, ['en'])
  power.value = { ...power.peek(), pauseOnBattery: false, keepScreenOn: true }
  const later = createPreferences(storage, ['en']).power.peek()
  expect(later).toEqual({ pauseOnBattery: false, pauseWhenMetered: null, keepScreenOn: true })
})
