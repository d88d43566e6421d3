/** What a page is handed: the server's configuration, a link's parameters, and the text of an answer. */
import { afterEach, expect, test, vi } from 'vitest'
import { readRelayConfig } from '../../../cli/prompt/app-config.ts'
import type { AppConfig } from '../../../swarm/app-config.ts'
import { makeDonorSettings } from '../../../swarm/donor-settings.ts'
import { loadPageConfig, mergeConfig } from '../../../web/compose/page-config.ts'
import { safeHref } from '../../../web/ui/markdown/links.ts'
import { markdownNodes } from '../../../web/ui/markdown/nodes.tsx'
import { fuzz, FUZZ_TIMEOUT_MS, mutatedJson, mutatedText } from './fuzz.ts'

afterEach(() => void vi.unstubAllGlobals())

const RELAY = '/ip4/127.0.0.1/tcp/8080/ws/p2p/12D3KooWGRUVh7TUkf9kbHaeVvHbzKZSbBLCKPVhGXPvb1pJMkEn'
const APP: AppConfig = {
  version: '1.0',
  relays: [RELAY],
  models: [
    { repo: 'tinytales', revision: 'a'.repeat(40), hubUrl: '/hub', blocks: 8, sizeBytes: 7, description: 'small' },
  ],
  hubUrl: 'https://huggingface.co',
  iceServers: [{ urls: 'stun:127.0.0.1:3478' }],
  donor: { model: 'tinytales', numBlocks: 2, weights: 'auto' },
}

function serve(text: string): void {
  vi.stubGlobal('fetch', async () => new Response(text))
}

test(
  '/config.json, in the page and in the command line',
  async () => {
    const base = new URL(`http://127.0.0.1:8080/?dht_initial_peers=${RELAY}x`)
    const read = async (text: string): Promise<void> => {
      serve(text)
      // The command line takes what makes no sense for a dead relay.
      await readRelayConfig(base.origin, new AbortController().signal)
      await loadPageConfig(base)
    }
    await fuzz(mutatedText([JSON.stringify(APP)]), read)
    const { taken, refused } = await fuzz(mutatedJson([APP]), (value) => read(JSON.stringify(value)))
    expect(taken).toBeGreaterThan(0)
    expect(refused).toBeGreaterThan(0)
  },
  2 * FUZZ_TIMEOUT_MS,
)

test(
  'parameters of a link',
  async () => {
    const seeds = [
      'donate&tab=3&model=org/llama&revision=main&num_blocks=4&total_blocks=32&weights=f16&backend=software&memory=2',
      `splits=8,16,24&stage=1&use_load_balancing=1&balance_quality=0.75&mean_balance_check_period=120&simulate_speed=5`,
      `dht_initial_peers=${encodeURIComponent(`${RELAY},${RELAY}`)}&model=tinytales%40main`,
    ]
    const { taken } = await fuzz(mutatedText(seeds), (query) => {
      const url = new URL('http://127.0.0.1:8080/')
      url.search = query
      const { donor, linkError } = mergeConfig(APP, url)
      if (linkError === null) makeDonorSettings(donor)
    })
    expect(taken).toBeGreaterThan(0)
  },
  FUZZ_TIMEOUT_MS,
)

test(
  'markdown of an answer, and its links',
  async () => {
    const seeds = [
      '# Title\n\nSome *text* with `code`, [a link](https://example.org) and\n\n- a list\n  - inside\n\n> quote\n',
      '| a | b |\n|---|:-:|\n| 1 | 2 |\n\n```ts\nconst x = 1\n```\n\n1. one\n2. two\n\n---\n~~gone~~ <b>no</b> ![i](x)',
    ]
    const { taken, refused } = await fuzz(mutatedText(seeds), (text) => {
      markdownNodes(text)
      const href = safeHref(text)
      if (href !== null && href !== undefined) expect(String(href)).toMatch(/^(https?:|mailto:)/iu)
    })
    expect(taken).toBeGreaterThan(0)
    expect(refused).toBe(0)
  },
  FUZZ_TIMEOUT_MS,
)
