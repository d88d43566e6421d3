import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { findBrowsers } from '../../../cli/browser/find.ts'
import { chromiumArgs } from '../../../cli/browser/flags.ts'
import { lastWords } from '../../../cli/browser/install.ts'
import { refuseSwallowedByNpm, refuseWords } from '../../../cli/commands/words.ts'
import { editDistance, nearestName } from '../../../cli/options/nearest.ts'
import { dataDir } from '../../../cli/profile/data-dir.ts'
import { httpOriginOf, mergeRelays } from '../../../cli/prompt/app-config.ts'
import { parsePromptIds } from '../../../cli/prompt/ids.ts'
import { chooseModel } from '../../../cli/prompt/model-source.ts'
import { findHubToken, withoutHubToken } from '../../../cli/tabs/hub-token.ts'
import { checkDisplay } from '../../../cli/tabs/browser-session.ts'
import { checkTabMemory } from '../../../cli/tabs/memory.ts'
import { sharePerTab } from '../../../cli/tabs/start-tabs.ts'
import { describeProgress, LinePrinter } from '../../../cli/tabs/tab-group.ts'
import type { LlamaConfig } from '../../../swarm/model/config.ts'
import { makeTempDir, removeTempDir } from '../../support/processes.ts'

describe('nearestName', () => {
  it('finds a mistyped flag and stays silent about a strange one', () => {
    expect(nearestName('--num_block', ['--num_blocks', '--model'])).toBe('--num_blocks')
    expect(nearestName('--porrt', ['--prompt', '--port'])).toBe('--port')
    expect(nearestName('--zzzzzzzz', ['--num_blocks', '--model'])).toBeNull()
  })

  it('measures a distance', () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 12 }), fc.string({ maxLength: 12 }), (a, b) => {
        const distance = editDistance(a, b)
        expect(distance).toBe(editDistance(b, a))
        expect(distance === 0).toBe(a === b)
        expect(distance).toBeGreaterThanOrEqual(Math.abs(a.length - b.length))
        expect(distance).toBeLessThanOrEqual(Math.max(a.length, b.length))
      }),
    )
  })
})

describe('findBrowsers', () => {
  const find = (files: string[], env: NodeJS.ProcessEnv = {}, named?: string) =>
    findBrowsers({
      env,
      platform: 'linux',
      named,
      isExecutable: (path) => files.includes(path),
      playwrightPath: () => '/pw/chrome',
    })

  it('takes one browser under two paths for one', () => {
    const folder = makeTempDir('links')
    try {
      mkdirSync(join(folder, 'usr'))
      symlinkSync(join(folder, 'usr'), join(folder, 'bin'))
      const files = [join(folder, 'usr/chromium'), join(folder, 'bin/chromium')]
      expect(find(files, { PATH: `${folder}/usr:${folder}/bin` }).map(({ path }) => path)).toEqual([files[0]])
    } finally {
      removeTempDir(folder)
    }
  })

  it('looks at PATH, then the usual folders, then Playwright’s own', () => {
    const files = ['/pw/chrome', '/b/chromium', '/a/google-chrome', '/opt/google/chrome/chrome']
    expect(find(files, { PATH: '/a:/b' }).map(({ path }) => path)).toEqual([
      '/a/google-chrome',
      '/b/chromium',
      '/opt/google/chrome/chrome',
      '/pw/chrome',
    ])
  })

  it('looks at nothing else when one is named', () => {
    expect(find(['/pw/chrome', '/mine'], {}, '/mine')).toEqual([{ path: '/mine', source: 'named' }])
    expect(find(['/pw/chrome'], {}, '/mine')).toEqual([])
  })

  it('finds none where there is none, also where Playwright has no build', () => {
    expect(find([])).toEqual([])
    const none = findBrowsers({
      env: {},
      isExecutable: () => true,
      platform: 'win32',
      playwrightPath: () => {
        throw new Error('unsupported')
      },
    })
    expect(none).toEqual([])
  })
})

describe('chromiumArgs', () => {
  it('maps the fixed origin to the port, and drops the sandbox only when told', () => {
    const args = chromiumArgs({ adapter: 'software', port: 1234, sandbox: true })
    expect(args).toContain('--host-resolver-rules=MAP tabswarm.localhost 127.0.0.1:1234')
    expect(args).toContain('--use-webgpu-adapter=swiftshader')
    expect(args).not.toContain('--no-sandbox')
    expect(chromiumArgs({ adapter: 'real', port: null, sandbox: false })).toContain('--no-sandbox')
  })
})

describe('words that npm kept or passed on', () => {
  it('refuses bare words with npm’s --', () => {
    expect(() => refuseWords('start', [])).not.toThrow()
    expect(() => refuseWords('start', ['9000'])).toThrow('start takes no plain words, and was given "9000"')
  })

  it('refuses options that npm kept', () => {
    const npm = { npm_lifecycle_event: 'start' }
    expect(() => refuseSwallowedByNpm('start', ['headed'], { ...npm, npm_config_headed: 'true' })).toThrow(
      'npm kept --headed',
    )
    expect(() => refuseSwallowedByNpm('start', ['models-dir'], { ...npm, npm_config_models_dir: 'x' })).toThrow(
      'npm kept',
    )
    expect(() => refuseSwallowedByNpm('start', ['headed'], { npm_config_headed: 'true' })).not.toThrow()
    expect(() => refuseSwallowedByNpm('start', ['headed'], npm)).not.toThrow()
  })
})

describe('dataDir', () => {
  it('is the named folder, else the system’s per-user one', () => {
    expect(dataDir('/x', {}, 'linux')).toBe('/x')
    expect(dataDir(undefined, { XDG_DATA_HOME: '/data' }, 'linux')).toBe('/data/tabswarm')
    expect(dataDir(undefined, {}, 'linux')).toMatch(/\.local\/share\/tabswarm$/)
    expect(dataDir(undefined, {}, 'darwin')).toMatch(/Application Support\/tabswarm$/)
    expect(dataDir('', { LOCALAPPDATA: '/local' }, 'win32')).toBe('/local/tabswarm')
  })
})

describe('relay addresses and configs', () => {
  it.each([
    ['/ip4/10.0.0.1/tcp/8080/ws/p2p/12D3', 'http://10.0.0.1:8080'],
    ['/ip4/10.0.0.1/tcp/8080/p2p/12D3', 'http://10.0.0.1:8080'],
    ['/ip6/::1/tcp/8080/ws', 'http://[::1]:8080'],
    ['/dns4/swarm.example.org/tcp/443/tls/ws/p2p/12D3', 'https://swarm.example.org:443'],
    ['/ip4/10.0.0.1/udp/8080/quic-v1', null],
  ])('%s is read at %s', (address, origin) => {
    expect(httpOriginOf(address)).toBe(origin)
  })

  it('puts given relays before those that configs name, each once', () => {
    const named = '/ip4/10.0.0.2/tcp/1/ws/p2p/12D3KooWLP5iUCo7WhUmDaWVNLdCkEX1wf1dq4bbfUNNVoqxoVEd'
    const config = {
      version: '1.0',
      relays: ['given', named, named, 'no peer id'],
      models: [],
      hubUrl: '',
      iceServers: [],
    }
    expect(mergeRelays(['given'], [{ origin: 'http://x', config }])).toEqual(['given', named])
  })
})

describe('chooseModel', () => {
  const offer = { repo: 'org/a', revision: 'abc', hubUrl: '/hub', blocks: 8, sizeBytes: 1 }
  const entry = {
    origin: 'http://relay:8080',
    config: { version: '1.0', relays: [], models: [offer], hubUrl: 'https://hub', iceServers: [] },
  }
  const wish = { model: undefined, revision: undefined, hubUrl: 'https://hub', hubUrlGiven: false, token: null }

  it('takes the relay’s offer, its mirror made absolute', () => {
    const place = { repo: 'org/a', revision: 'abc', hubUrl: 'http://relay:8080/hub', isMirror: true }
    expect(chooseModel(wish, [entry])).toEqual(place)
    expect(chooseModel({ ...wish, model: 'org/a' }, [entry])).toEqual(place)
  })

  it('takes a named hub instead, and the hub for models that nobody offers', () => {
    expect(chooseModel({ ...wish, hubUrlGiven: true }, [entry])).toMatchObject({
      hubUrl: 'https://hub',
      revision: 'main',
    })
    expect(chooseModel({ ...wish, model: 'org/b' }, [entry])).toMatchObject({ repo: 'org/b', hubUrl: 'https://hub' })
    expect(() => chooseModel(wish, [])).toThrow('no relay of the swarm offers one')
  })
})

describe('parsePromptIds', () => {
  it('reads ids between commas or spaces', () => {
    expect(parsePromptIds('1,2, 3')).toEqual([1, 2, 3])
    expect(() => parsePromptIds(' , ')).toThrow('is empty')
    for (const bad of ['1,x', '-1', '1.5', '1e3', '99999999999'])
      expect(() => parsePromptIds(bad)).toThrow('not a token id')
  })
})

describe('findHubToken', () => {
  let home: string
  beforeEach(() => (home = makeTempDir('home')))
  afterEach(() => removeTempDir(home))

  it('looks where hf auth login keeps it, in the hub’s own order', () => {
    expect(findHubToken({}, home)).toBeNull()
    mkdirSync(join(home, '.cache/huggingface'), { recursive: true })
    writeFileSync(join(home, '.cache/huggingface/token'), 'at-home\n')
    expect(findHubToken({}, home)).toBe('at-home')
    writeFileSync(join(home, 'token'), 'in-hf-home')
    expect(findHubToken({ HF_HOME: home }, home)).toBe('in-hf-home')
    writeFileSync(join(home, 'other'), 'named')
    expect(findHubToken({ HF_HOME: home, HF_TOKEN_PATH: join(home, 'other') }, home)).toBe('named')
    expect(findHubToken({ HF_TOKEN: ' direct ', HF_HOME: home }, home)).toBe('direct')
    const empty = { HF_TOKEN: '', HF_TOKEN_PATH: '', HF_HOME: '', XDG_CACHE_HOME: '' }
    expect(findHubToken(empty, home)).toBe('at-home')
    expect(findHubToken({ ...empty, HUGGING_FACE_HUB_TOKEN: 'older' }, home)).toBe('older')
  })

  it('keeps the token out of the environment of other processes', () => {
    const env = { HF_TOKEN: 'a', HUGGING_FACE_HUB_TOKEN: 'b', HF_HOME: '/c', PATH: '/d', GONE: undefined }
    expect(withoutHubToken(env)).toEqual({ HF_HOME: '/c', PATH: '/d' })
  })
})

describe('tabs', () => {
  it('shares the blocks so that the hops are as few as the tabs allow', () => {
    expect([8, 30, 32, 33].map((blocks) => sharePerTab(blocks, 4))).toEqual([2, 8, 8, 9])
    expect(sharePerTab(2, 4)).toBe(1)
  })

  it('tells what the tabs do, and nothing once all serve', () => {
    expect(describeProgress([{ status: 'serving' }, { status: 'planning' }])).toBe('Tabs: 1 serving, 1 planning')
    const loading = { status: 'loading', phase: 'download', doneBytes: 1e6, totalBytes: 4e6 }
    expect(describeProgress([loading, loading])).toBe('Tabs: 2 download (2.0 of 8.0 MB)')
    expect(describeProgress([{ status: 'serving' }])).toBe('')
    expect(describeProgress([{ status: 'ready' }])).toBe('Tabs: 1 planned')
  })

  it('prints once what every tab says of the swarm, and again when it changes', () => {
    const lines: string[] = []
    const printer = new LinePrinter({ line: (text) => lines.push(text), progress: () => {}, answer: () => {} })
    const said = ['Missing blocks: 6–7', 'Selected blocks: [2]', 'Missing blocks: 6–7', 'Selected blocks: [2]']
    for (const line of [...said, 'No block is missing any more.', 'Missing blocks: 6–7']) printer.print(line)
    expect(lines).toEqual([said[0], said[1], said[3], 'No block is missing any more.', said[0]])
  })

  it('shows no window where there is no display', () => {
    expect(() => checkDisplay({}, 'linux')).toThrow('there is no display here')
    expect(() => checkDisplay({ DISPLAY: '' }, 'linux')).toThrow('there is no display here')
    for (const env of [{ DISPLAY: ':0' }, { WAYLAND_DISPLAY: 'wayland-0' }])
      expect(() => checkDisplay(env, 'linux')).not.toThrow()
    expect(() => checkDisplay({}, 'darwin')).not.toThrow()
  })

  it('finds the reason in what a failed installer printed', () => {
    const output = 'Downloading …\nError: getaddrinfo ENOTFOUND x\n    at Fn (node:1)\n}\nFailed to install browsers\n'
    expect(lastWords(output)).toBe('Error: getaddrinfo ENOTFOUND x')
    expect(lastWords('one\ntwo\n')).toBe('two')
    expect(lastWords('')).toBe('it said nothing')
  })

  it('refuses more tabs than memory, and says how many fit', () => {
    const config = {
      numHiddenLayers: 8,
      hiddenSize: 192,
      intermediateSize: 512,
      numAttentionHeads: 6,
      numKeyValueHeads: 3,
      headDim: 32,
      vocabSize: 2048,
      maxPositionEmbeddings: 1024,
      tieWordEmbeddings: true,
    } as unknown as LlamaConfig
    const need = { tabs: 4, numBlocks: 2, config, weights: 'auto' as const, software: true }
    expect(() => checkTabMemory(need, 8e9)).not.toThrow()
    expect(() => checkTabMemory({ ...need, tabs: 100 }, 4e9)).toThrow(
      /^100 tabs with 2 blocks each need about \d+\.\d GB/,
    )
  })
})
