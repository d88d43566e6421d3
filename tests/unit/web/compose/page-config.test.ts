import { afterEach, describe, expect, test, vi } from 'vitest'
import type { AppConfig } from '../../../../swarm/app-config.ts'
import { loadPageConfig, mergeConfig } from '../../../../web/compose/page-config.ts'
import { parseIds } from '../../../../web/compose/page-prompts.ts'

afterEach(() => void vi.unstubAllGlobals())

const RELAY = '/ip4/127.0.0.1/tcp/8080/ws/p2p/12D3KooWRelay'
const APP: AppConfig = {
  version: '1.0',
  relays: [RELAY],
  models: [{ repo: 'tinytales', revision: 'a'.repeat(40), hubUrl: '/hub', blocks: 8, sizeBytes: 7 }],
  hubUrl: 'https://huggingface.co',
  iceServers: [],
  donor: { model: 'tinytales', numBlocks: 2, weights: 'auto' },
}
const merge = (query: string) => mergeConfig(APP, new URL(`http://127.0.0.1:8080/${query}`))

describe('the page’s configuration', () => {
  test('is the server’s where the link says nothing', () => {
    const config = merge('')
    expect(config.donor).toEqual(APP.donor)
    expect(config.offers[0]).toMatchObject({ hubUrl: 'http://127.0.0.1:8080/hub', embedded: true, source: 'offer' })
    expect(config).toMatchObject({ wantedModel: 'tinytales', linkRelays: [], linkError: null, tab: null })
  })

  test('knows a tab of the command line by its address, not by its number', () => {
    expect(merge('?donate&tab=1').isUnattended).toBe(false)
    const query = new URL('http://tabswarm.localhost/?donate&tab=1')
    expect(mergeConfig(APP, query).isUnattended).toBe(true)
  })

  test('takes the link’s parameters over it', () => {
    const config = merge('?donate&tab=3&model=org/llama&num_blocks=4&splits=8,16&stage=1&use_load_balancing=1')
    expect(config.tab).toBe(3)
    expect(config.wantedModel).toBe('org/llama')
    expect(config.donor).toMatchObject({ numBlocks: 4, splits: '8,16', stage: 1, useLoadBalancing: true })
  })

  test('keeps what is wrong with a link as an error to be shown', () => {
    expect(merge('?num_blocks=many').linkError).toMatchObject({ code: 'BAD_OPTION' })
    expect(merge('?donate&tab=first').linkError).toMatchObject({ code: 'BAD_OPTION' })
    expect(merge('?donate&tab=99999').linkError).toMatchObject({ code: 'BAD_OPTION' })
  })

  test('notes what a link has and the page does not know, and goes on', () => {
    expect(merge('?donate&tab=0&memory_gb=2#donate').linkNotes).toEqual([])
    expect(merge('#content').linkNotes).toEqual([])
    expect(merge('?num-blocks=4#chats').linkNotes).toEqual([
      { kind: 'view', name: 'chats' },
      { kind: 'parameter', name: 'num-blocks' },
    ])
    expect(merge('?a&b&c&d&e').linkNotes).toHaveLength(3)
    expect(merge(`?${'x'.repeat(500)}`).linkNotes[0]?.name).toHaveLength(40)
  })

  test('is refused by a server of another version, whatever its shape, and taken from one of the same', async () => {
    const load = async (config: unknown) => {
      vi.stubGlobal('fetch', async () => new Response(JSON.stringify(config)))
      return await loadPageConfig(new URL('http://127.0.0.1:8080/'))
    }
    await expect(load({ version: '2.0', peers: [] })).rejects.toMatchObject({ code: 'WRONG_VERSION' })
    await expect(load({ ...APP, version: '2.0' })).rejects.toThrow(
      /127\.0\.0\.1:8080 speaks version 2\.0 .* speaks 1\.0/u,
    )
    expect((await load({ ...APP, version: '1.7' })).app.version).toBe('1.7')
  })

  test('asks about relays that only the link names, not about the server’s own under another address', () => {
    expect(merge('?dht_initial_peers=/ip4/10.0.0.1/tcp/1/p2p/12D3KooWOther').linkRelays).toHaveLength(1)
    expect(merge('?dht_initial_peers=/ip4/10.0.0.1/tcp/1/p2p/12D3KooWRelay').linkRelays).toEqual([])
  })
})

describe('token ids', () => {
  test('are read with commas, spaces or both', () => expect(parseIds(' 1, 2 3\n4,')).toEqual([1, 2, 3, 4]))
  test.each(['', ' , ', 'one', '1,-2', '1.5', '99999999999'])('%s is refused', (text) => {
    expect(() => parseIds(text)).toThrow()
  })
})
