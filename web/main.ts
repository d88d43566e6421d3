/**
 * Composition root of the page: reads the configuration, builds the stores over the real network, model files and donor,
 * and mounts the views. The libp2p part, the model reader and the donor are loaded when they are first needed, after the
 * first paint. Nothing is joined that only a link asks for, and nothing is donated, without a click.
 */
import { computed, effect } from '@preact/signals'
import { installHandle } from './compose/handle.ts'
import { loadPageConfig, type PageConfig } from './compose/page-config.ts'
import { PageKept } from './compose/page-kept.ts'
import { PageDonors } from './compose/page-donors.ts'
import { PageReach } from './compose/page-reach.ts'
import { PagePrompts } from './compose/page-prompts.ts'
import { PageSwarm } from './compose/page-swarm.ts'
import { PageUpdate } from './compose/page-update.ts'
import { powerConditions, type PowerNavigator } from './compose/power-conditions.ts'
import { screenLockDevice } from './compose/screen-lock-device.ts'
import { describeError } from '../swarm/errors.ts'
import { PROTOCOL_VERSION } from '../swarm/protocol.ts'
import { mountApp, mountBroken, mountInsecure } from './ui/mount.tsx'
import { withTexts } from './ui/services.ts'
import { createAfterDiscard } from './ui/state/after-discard.ts'
import { createChats } from './ui/state/chats.ts'
import { createContextMeter } from './ui/state/context-meter.ts'
import { createDonating, isWorking } from './ui/state/donating.ts'
import { createKeptModels } from './ui/state/kept-models.ts'
import { createModels } from './ui/state/models.ts'
import { createNavigation } from './ui/state/navigation.ts'
import { createPower } from './ui/state/power.ts'
import { createPreferences, type Preferences } from './ui/state/preferences.ts'
import { createScreenLock } from './ui/state/screen-lock.ts'
import { createReachProbe } from './ui/state/reach.ts'
import { createSwarmState } from './ui/state/swarm.ts'
import { createUpdate } from './ui/state/update.ts'
import { openChatStorage } from './ui/storage/chat-db.ts'
import { createChatLocks } from './ui/storage/chat-locks.ts'
import { createSettingsStorage } from './ui/storage/settings.ts'

async function main(): Promise<void> {
  // Before any chunk adds to the document.
  const pageUpdate = new PageUpdate(document)
  const root = document.querySelector('#app')
  if (root === null) throw new Error('bug: index.html has no #app')
  const preferences = createPreferences(
    createSettingsStorage(() => localStorage),
    navigator.languages,
  )
  document.documentElement.dataset['theme'] = preferences.theme.peek()
  document.documentElement.lang = preferences.language.peek()
  if (!isSecureContext) return mountInsecure(root, preferences.language.peek())
  try {
    await build(root, preferences, await loadPageConfig(new URL(location.href)), pageUpdate)
  } catch (error) {
    mountBroken(root, preferences.language.peek(), describeError(error))
    throw error
  }
}

async function build(
  root: Element,
  preferences: Preferences,
  config: PageConfig,
  pageUpdate: PageUpdate,
): Promise<void> {
  let hubToken: string | null = null
  const hub = { hubUrl: config.hubUrl, token: () => hubToken }
  const pageSwarm = new PageSwarm(config)
  const swarm = createSwarmState(pageSwarm)
  const prompts = new PagePrompts(pageSwarm, hub)
  const { hubUrl, offers, wantedModel: wanted } = config
  const models = createModels({ offers, wanted, hubUrl, prompts, swarm })
  const chats = createChats({
    storage: await openChatStorage(),
    locks: createChatLocks(navigator.locks),
    prompts,
    model: () => models.chosen.peek(),
    settings: () => preferences.settings.peek(),
    now: () => Date.now(),
    randomSeed: () => crypto.getRandomValues(new Uint32Array(1))[0] ?? 0,
    newId: () => crypto.randomUUID(),
  })
  const pageKept = new PageKept()
  const power = createPower({
    device: powerConditions(navigator as PowerNavigator),
    settings: preferences.power,
    pausesByDefault: !config.isUnattended,
  })
  const donors = new PageDonors(config, pageSwarm, hub, pageKept, power.port)
  const donating = createDonating(donors)
  const afterDiscard = createAfterDiscard({
    // Not in the types: Chromium alone has it.
    wasDiscarded: (document as { wasDiscarded?: boolean }).wasDiscarded === true,
    storage: () => sessionStorage,
    donating,
    models,
  })
  const wantsScreen = computed(() => preferences.power.value.keepScreenOn && isWorking(donating.state.value))
  const reach = createReachProbe(new PageReach(config, () => donors.node()), {
    isAutomatic: config.tab === null,
    now: () => Date.now(),
  })
  const kept = createKeptModels(pageKept, { onLess: () => donating.countAgain() })
  const navigation = createNavigation(window)
  const update = createUpdate({
    port: pageUpdate,
    swarm,
    onVisible: (listener) =>
      document.addEventListener('visibilitychange', () => {
        if (!document.hidden) listener()
      }),
    reload: () => location.reload(),
  })
  const setHubToken = (token: string): void => {
    hubToken = token === '' ? null : token
    donating.forgetPlan()
    if (models.problem.peek() !== null) void models.prepare()
  }
  mountApp(
    root,
    withTexts({
      preferences,
      navigation,
      models,
      chats,
      meter: createContextMeter(chats.current, models.opened),
      donating,
      afterDiscard,
      power,
      screenLock: createScreenLock(screenLockDevice(), wantsScreen),
      kept,
      reach,
      swarm,
      update,
      environment: {
        version: PROTOCOL_VERSION,
        userAgent: navigator.userAgent,
        hasWebGpu: 'gpu' in navigator,
        linkNotes: config.linkNotes,
        copyText: (text) => navigator.clipboard.writeText(text),
        setHubToken,
      },
    }),
  )
  installHandle({
    version: PROTOCOL_VERSION,
    donor: () => donating.state.peek(),
    donorLog: () => donating.log.peek(),
    setHubToken,
    peerId: () => donors.peerId(),
    directory: () => donors.directory(),
  })
  void chats.load()
  // A donor tab has a peer of its own; the asking one is for those who look or ask.
  effect(() => {
    if (navigation.view.value !== 'donate') afterPaint(() => void pageSwarm.joinUnlessAsking())
  })
}

function afterPaint(work: () => void): void {
  // A hidden page paints nothing, and would wait for ever.
  if (document.hidden) setTimeout(work)
  else requestAnimationFrame(() => setTimeout(work))
}

void main()
