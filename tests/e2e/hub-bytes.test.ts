/**
 * Which bytes a donor takes, by the hub's own log: the tensors of its span, config, index and headers, and nothing else; the
 * embedding with block 0, norm and head with the last block. A break goes on at the byte where it was, a second start takes
 * no weights at all, and a branch that moves does not move a donor.
 */
import { cpSync, readFileSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startHubStandIn, type HubStandIn, type RecordedRequest } from '../support/hub-stand-in.ts'
import { makeTempDir, removeTempDir, REPO_ROOT, runTabswarm } from '../support/processes.ts'
import { READY, selectedBlocks, TestSwarm } from '../support/swarm.ts'

const FIXTURES = join(REPO_ROOT, 'tests/fixtures/models')
const MODELS = {
  'sharded/untied': join(FIXTURES, 'untied-bf16-sharded'),
  'single/tied': join(FIXTURES, 'plain-tied-f32'),
}

let hub: HubStandIn
let swarm: TestSwarm
let folder: string

beforeAll(async () => {
  folder = makeTempDir('bytes')
  cpSync(MODELS['sharded/untied'], join(folder, 'moving'), { recursive: true })
  hub = await startHubStandIn({
    models: { ...MODELS, 'sharded/again': MODELS['sharded/untied'], 'sharded/moving': join(folder, 'moving') },
    storage: 'xet',
  })
  swarm = new TestSwarm({ HF_ENDPOINT: hub.url })
  await swarm.relay()
})
afterAll(async () => {
  await swarm?.stop()
  await hub.close()
  removeTempDir(folder)
})

interface Shard {
  headerBytes: number
  tensors: Map<string, { begin: number; end: number }>
}

/** Read by hand: neither the product's reader nor its plan takes part. */
function readShard(path: string): Shard {
  const bytes = readFileSync(path)
  const headerBytes = 8 + Number(bytes.readBigUInt64LE(0))
  const header = JSON.parse(bytes.toString('utf8', 8, headerBytes)) as Record<
    string,
    { data_offsets: [number, number] }
  >
  const tensors = Object.entries(header)
    .filter(([name]) => name !== '__metadata__')
    .map(
      ([
        name,
        {
          data_offsets: [begin, end],
        },
      ]) => [name, { begin: headerBytes + begin, end: headerBytes + end }] as const,
    )
  return { headerBytes, tensors: new Map(tensors) }
}

/** What a span needs of each shard, by tensor names alone. */
function expectedBytes(
  repo: string,
  blocks: [number, number],
  extra: string[],
): Map<string, { header: number; tensors: number }> {
  const dir = MODELS[repo as keyof typeof MODELS]
  const index = join(dir, 'model.safetensors.index.json')
  const files = repo.startsWith('sharded')
    ? [
        ...new Set(
          Object.values((JSON.parse(readFileSync(index, 'utf8')) as { weight_map: Record<string, string> }).weight_map),
        ),
      ]
    : ['model.safetensors']
  const wanted = (name: string): boolean => {
    const block = /^model\.layers\.(\d+)\./.exec(name)?.[1]
    return block === undefined ? extra.includes(name) : Number(block) >= blocks[0] && Number(block) < blocks[1]
  }
  const expected = new Map<string, { header: number; tensors: number }>()
  for (const file of files) {
    const { headerBytes, tensors } = readShard(join(dir, file))
    const bytes = [...tensors]
      .filter(([name]) => wanted(name))
      .reduce((sum, [, { begin, end }]) => sum + end - begin, 0)
    if (bytes > 0) expected.set(file, { header: headerBytes, tensors: bytes })
  }
  return expected
}

/** Starts a donor, waits until it serves, stops it; the requests it caused. */
async function donate(
  args: readonly string[],
): Promise<{ requests: RecordedRequest[]; output: string; blocks: number[] }> {
  hub.requests.length = 0
  const donor = swarm.donor(args)
  try {
    await donor.waitForLine(READY, 120_000)
    return { requests: [...hub.requests], output: donor.both.join('\n'), blocks: selectedBlocks(donor) }
  } finally {
    await donor.stop()
  }
}

const EMBEDDING = 'model.embed_tokens.weight'
const NORM = 'model.norm.weight'
const HEAD = 'lm_head.weight'

describe('a span’s bytes, counted by the hub', () => {
  test.each([
    ['sharded/untied', 'first', '2,4', 0, [0, 2], [EMBEDDING]],
    ['sharded/untied', 'middle', '2,4', 1, [2, 4], []],
    ['sharded/untied', 'last', '2,4', 2, [4, 6], [NORM, HEAD]],
    ['single/tied', 'middle', '1,2', 1, [1, 2], []],
    ['single/tied', 'last', '1,2', 2, [2, 3], [EMBEDDING, NORM]],
  ] as const)('%s, %s span', async (repo, _which, splits, stage, blocks, extra) => {
    const args = ['--model', repo, '--splits', splits, '--stage', String(stage), '--fresh']
    const { requests } = await donate(args)
    const expected = expectedBytes(repo, [...blocks], [...extra])
    const weights = requests.filter(({ origin }) => origin === 'storage')
    expect(new Set(weights.map(({ file }) => file))).toEqual(new Set(expected.keys()))
    for (const [file, { header, tensors }] of expected) {
      const served = weights.filter((request) => request.file === file).reduce((sum, { bytes }) => sum + bytes, 0)
      expect(served, file).toBe(header + tensors)
    }
    // Beside the weights: the config (by the command and by its tab), the index once, and no tokenizer or anything else.
    const small = requests.filter(({ path, status }) => path.includes('/resolve-cache/') && status === 200)
    expect(small.map(({ file }) => file ?? '').toSorted((a, b) => a.localeCompare(b))).toEqual([
      'config.json',
      'config.json',
      ...(repo.startsWith('sharded') ? ['model.safetensors.index.json'] : []),
    ])
    for (const { file, bytes } of small) expect(bytes).toBe(readFileSync(join(MODELS[repo], file as string)).length)
  })
})

describe('a download that breaks', () => {
  const ARGS = ['--model', 'sharded/again', '--splits', '2,4', '--stage', '1', '--slot', '7']

  test('goes on at the byte where it broke, and a second start finds everything', async () => {
    const cutAt = 5_000
    hub.faults.push({
      at: 'storage',
      path: /sharded\/again.*model-00003/,
      fault: { kind: 'cut', afterBytes: cutAt, arriveMs: 1_000 },
      times: 4,
    })
    const first = await donate(ARGS)
    const ranges = first.requests.filter(({ origin, file }) => origin === 'storage' && file?.includes('00003') === true)
    const parsed = ranges.map(({ range, bytes }) => {
      const [, begin, end] = /^bytes=(\d+)-(\d+)$/.exec(range ?? '') ?? []
      return { begin: Number(begin), end: Number(end) + 1, bytes }
    })
    // The two header requests are shorter than the cut and come whole; the tensors' is cut, and so is what takes it up.
    const broken = parsed.filter(({ begin, end, bytes }) => bytes < end - begin)
    expect(broken).toHaveLength(2)
    for (const { begin, end, bytes } of broken) {
      const next = parsed.find((other) => other.begin === begin + bytes && other.end === end)
      expect(next, `a request from byte ${begin + bytes}`).toBeDefined()
    }
    expect(parsed.reduce((sum, { bytes }) => sum + bytes, 0)).toBe(
      expectedOf('model-00003-of-00005.safetensors', [2, 4]),
    )
    expect(first.output).toMatch(
      /Reading from \S+: the connection broke\. It is asked again in 1 second \(try 2 of 5\)\./,
    )

    const second = await donate(ARGS)
    expect(second.blocks).toEqual([2, 3])
    expect(second.requests.filter(({ origin }) => origin === 'storage')).toEqual([])
    expect(second.requests.filter(({ file }) => file === 'model.safetensors.index.json')).toEqual([])
  })

  test('a start that failed keeps what it had: the next one takes only the rest', async () => {
    const args = ['--model', 'sharded/again', '--splits', '2,4', '--stage', '2', '--slot', '8']
    const rule = {
      at: 'storage' as const,
      path: /sharded\/again.*model-00005/,
      fault: { kind: 'cut' as const, afterBytes: 2_000 },
    }
    hub.faults.push(rule)
    const failed = await runTabswarm(['donate', '--dht_initial_peers', swarm.addresses[0] as string, ...args], {
      dataDir: swarm.dataDir,
      env: { HF_ENDPOINT: hub.url },
      timeoutMs: 120_000,
    })
    expect(failed.code).toBe(1)
    expect(failed.stderr).toContain('broke while model-00005-of-00005.safetensors was read')
    hub.faults.splice(hub.faults.indexOf(rule), 1)
    const { requests } = await donate(args)
    const weights = requests.filter(({ origin }) => origin === 'storage')
    expect(weights.map(({ file }) => file)).toEqual(weights.map(() => 'model-00005-of-00005.safetensors'))
  })
})

/** Header and tensors of one shard. */
function expectedOf(file: string, blocks: [number, number]): number {
  const shard = expectedBytes('sharded/untied', blocks, []).get(file)
  return (shard?.header ?? 0) + (shard?.tensors ?? 0)
}

test('the branch moves during the download: the donor stays on its commit, and a newer one is no part of its swarm', async () => {
  const old = hub.repo('sharded/moving').resolve('main')?.commit as string
  hub.faults.push({
    at: 'storage',
    path: /sharded\/moving.*model-00002/,
    fault: { kind: 'slow', bytesPerSecond: 40_000 },
    times: 3,
  })
  hub.requests.length = 0
  const donor = swarm.donor(['--model', 'sharded/moving', '--num_blocks', '6'])
  await donor.waitForLine(/^Selected blocks/, 60_000)
  const newer = join(folder, 'newer')
  cpSync(MODELS['sharded/untied'], newer, { recursive: true })
  const config = JSON.parse(readFileSync(join(newer, 'config.json'), 'utf8')) as Record<string, unknown>
  writeFileSync(join(newer, 'config.json'), JSON.stringify({ ...config, transformers_version: '9.9.9' }))
  utimesSync(join(newer, 'model-00001-of-00005.safetensors'), 1, 1)
  const moved = hub.repo('sharded/moving').moveBranch('main', newer)
  expect(moved).not.toBe(old)
  await donor.waitForLine(READY, 120_000)
  expect(hub.requests.filter(({ path }) => path.includes(moved))).toEqual([])

  const ask = ['--model', 'sharded/moving', '--prompt-ids', '1,2,3', '--temperature', '0', '--max-tokens', '3']
  // Whoever names the branch now means the new commit, which nobody serves.
  const waiting = swarm.startPrompt(ask)
  await waiting.waitForLine(/^Waiting: nobody serves blocks 0–5/, 60_000)
  await waiting.stop()
  const answer = await swarm.prompt([...ask, '--revision', old])
  expect(answer.ids).toHaveLength(3)
  await donor.stop()
})
