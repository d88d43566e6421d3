/** Mounts the real page over fakes in the state that the address names. Served by Vite in tests, never built. */
import { signal } from '@preact/signals'
import { createPower } from '../../../web/ui/state/power.ts'
import { createPreferences } from '../../../web/ui/state/preferences.ts'
import { createChats } from '../../../web/ui/state/chats.ts'
import { createContextMeter } from '../../../web/ui/state/context-meter.ts'
import { createDonating } from '../../../web/ui/state/donating.ts'
import { createKeptModels } from '../../../web/ui/state/kept-models.ts'
import { createModels } from '../../../web/ui/state/models.ts'
import { createNavigation } from '../../../web/ui/state/navigation.ts'
import { createReachProbe } from '../../../web/ui/state/reach.ts'
import { createSwarmState } from '../../../web/ui/state/swarm.ts'
import { mountApp } from '../../../web/ui/mount.tsx'
import { withTexts } from '../../../web/ui/services.ts'
import { MemoryChats } from '../../../web/ui/storage/chat-db.ts'
import { FakeDonor, fakeDonorPort, FakeKept, fakeLocks, FakePrompts, fakeReach, FakeSwarm, TINYTALES } from './fakes.ts'
import { SCENES } from './scenes.ts'

const query = new URLSearchParams(location.search)
const scene = SCENES[query.get('scene') ?? 'empty']
if (scene === undefined) throw new Error(`no scene ${query.get('scene')}`)

const preferences = createPreferences({ get: (key) => query.get(key), set: () => {} }, navigator.languages)
const prompts = new FakePrompts(scene.prompts)
const swarm = createSwarmState(new FakeSwarm(scene.swarm))
const models = createModels({ offers: [TINYTALES], wanted: null, hubUrl: 'https://hub.example', prompts, swarm })
const storage = new MemoryChats(true)
for (const { chat, entries } of scene.chats) {
  await storage.putChat(chat)
  for (const [i, entry] of entries.entries()) await storage.putEntry(chat.id, i, entry)
}
const chats = createChats({
  storage,
  locks: fakeLocks(),
  prompts,
  model: () => models.chosen.peek(),
  settings: () => preferences.settings.peek(),
  now: () => performance.now(),
  randomSeed: () => 7,
  newId: () => crypto.randomUUID(),
})
const at = Date.UTC(2026, 10, 23, 12, 30)
const log = [
  'P2P initialized for Load Balancing server, PeerID: 12D3KooWQ5uYtVbfy3Hn6tXGZ9yV1jz2hLrPqkFvDf0KdR9',
  'Selected blocks: [2, 3]',
  'Load Balancing server ready, blocks=[2, 3], throughput=15.23 rps',
  'Swarm balance quality: 85.2% (initial=12.45, new=14.62)',
].map((text, i) => ({ at: at + i * 1000, level: 'info' as const, text }))
const navigation = createNavigation(window)
navigation.view.value = scene.view
const donating = createDonating(
  fakeDonorPort(new FakeDonor(scene.donor, scene.log === true ? log : []), scene.donorDefaults),
)
const kept = new FakeKept(scene.kept ?? null)
const keptModels = createKeptModels(kept, { onLess: () => {} })
const [keptFirst] = scene.kept?.models ?? []
if (scene.keptDeletion !== undefined && keptFirst !== undefined) {
  kept.outcome = scene.keptDeletion
  await keptModels.remove(keptFirst)
}
const root = document.querySelector('#app')
if (root === null) throw new Error('no #app')
const conditions = scene.power === undefined ? { onBattery: false, isMetered: false } : scene.power
const power = createPower({
  device: { read: () => conditions ?? { onBattery: null, isMetered: null }, onChange: () => {} },
  settings: preferences.power,
  pausesByDefault: true,
})
power.settings.value = { ...power.settings.peek(), keepScreenOn: scene.screenLock !== undefined }
mountApp(
  root,
  withTexts({
    preferences,
    navigation,
    models,
    chats,
    meter: createContextMeter(chats.current, models.opened),
    donating,
    afterDiscard: { goesOn: signal(false) },
    power,
    screenLock: signal(scene.screenLock ?? { status: 'off' }),
    kept: keptModels,
    reach: createReachProbe(fakeReach(scene.reach ?? null), { isAutomatic: true, now: () => at }),
    swarm,
    update: { isOffered: signal(scene.update === true), later: () => {}, reload: () => {} },
    environment: {
      version: '1.0',
      userAgent: navigator.userAgent,
      hasWebGpu: scene.hasWebGpu ?? true,
      linkNotes: scene.linkNotes ?? [],
      copyText: (text) => navigator.clipboard.writeText(text),
      setHubToken: () => {},
    },
  }),
)
await chats.load()
if (scene.send !== undefined) void chats.current.peek().send(scene.send)
if (scene.unfold !== undefined) await unfold(scene.unfold)
document.documentElement.dataset['ready'] = 'true'

/** Opens a fold as soon as it is there, and brings it into view. */
async function unfold(selector: string): Promise<void> {
  for (;;) {
    const details = document.querySelector<HTMLDetailsElement>(selector)
    if (details !== null) {
      details.open = true
      details.scrollIntoView()
      return
    }
    await new Promise((resolve) => requestAnimationFrame(resolve))
  }
}
