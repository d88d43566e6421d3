/**
 * A requesting peer inside the test, below the sampler: it joins a running swarm through its relay, routes over real tabs and
 * returns whole rows of logits.
 */
import '../../net/compat.ts'
import { createHash, randomBytes } from 'node:crypto'
import { loadPromptFiles } from '../../hub/prompt-files.ts'
import { openModel } from '../../hub/source.ts'
import { createRequestingNode } from '../../net/node.ts'
import { nodePlatform } from '../../net/platform-node.ts'
import type { SwarmNode } from '../../net/types.ts'
import { createInlineSandbox } from '../../session/model/inline-sandbox.ts'
import { createPromptModel } from '../../session/model/load.ts'
import { RouteSession } from '../../session/route-session.ts'
import type { PromptModel } from '../../session/types.ts'
import type { AppConfig } from '../../swarm/app-config.ts'
import { parseLlamaConfig } from '../../swarm/model/parse-config.ts'
import { makeModelId } from '../../swarm/model-info.ts'
import type { PeerRecord } from '../../swarm/peer-record.ts'
import { planRoute } from '../../swarm/planner/route.ts'
import type { RouteHop } from '../../swarm/planner/types.ts'
import { viewOf } from '../../swarm/planner/view.ts'

export interface RouteClient {
  readonly model: PromptModel
  readonly node: SwarmNode
  /** Runs the ids through a new session; afterwards `next` goes on one token at a time. */
  start(ids: readonly number[], maxTokens: number): Promise<RouteRun>
  stop(): Promise<void>
}

export interface RouteRun {
  readonly hops: readonly RouteHop[]
  /** Logits by token id, after everything fed so far. */
  logits: Float32Array
  feed(id: number): Promise<void>
  close(): Promise<void>
}

/** `pageUrl` as `start` prints it; the model is the first that it offers. */
export async function joinSwarm(pageUrl: string): Promise<RouteClient> {
  const config = (await (await fetch(new URL('config.json', pageUrl))).json()) as AppConfig
  const offer = config.models[0]
  if (offer === undefined) throw new Error('the relay offers no model')
  const source = await openModel({
    repo: offer.repo,
    revision: offer.revision,
    hubUrl: new URL(offer.hubUrl, pageUrl).href.replace(/\/$/, ''),
  })
  const files = await loadPromptFiles(source)
  const id = await makeModelId(
    source.repo,
    source.revision,
    parseLlamaConfig(files.config).numHiddenLayers,
    async (bytes) => createHash('sha256').update(bytes).digest(),
  )
  const model = await createPromptModel(files, id, createInlineSandbox())
  const node = await createRequestingNode({
    relays: config.relays,
    iceServers: config.iceServers,
    modelDigests: [id.digest],
    platform: nodePlatform,
    directory: 'on',
    log: () => undefined,
  })
  return {
    model,
    node,
    start: (ids, maxTokens) => startRun(node, model, ids, maxTokens),
    async stop() {
      await node.stop()
      model.tokenizer?.dispose()
    },
  }
}

async function startRun(
  node: SwarmNode,
  model: PromptModel,
  ids: readonly number[],
  maxTokens: number,
): Promise<RouteRun> {
  const route = planRoute({
    view: viewOf(await recordsOf(node, model.id.digest), model.id.blocks),
    rttMs: () => null,
    maxTokens,
    exclude: new Set(),
    random: Math.random,
  })
  if (!route.ok) throw new Error(`nobody serves blocks ${route.missingBlocks.join(', ')}`)
  const session = await RouteSession.open({
    node,
    model,
    hops: route.hops,
    session: randomBytes(16).toString('hex'),
    epoch: 0,
    maxTokens,
    now: () => performance.now(),
    signal: new AbortController().signal,
    forwarded: new Set(),
  })
  const fed = [...ids]
  const run: RouteRun = {
    hops: route.hops,
    logits: await feedAll(session, fed),
    async feed(id) {
      fed.push(id)
      run.logits = await feedAll(session, fed)
    },
    close: () => session.close(),
  }
  return run
}

async function feedAll(session: RouteSession, ids: readonly number[]): Promise<Float32Array> {
  const steps = session.feed(ids, 0)
  for (;;) {
    const next = await steps.next()
    if (next.done !== true) continue
    const row = next.value
    const logits = new Float32Array(row.vocabSize).fill(Number.NaN)
    row.ids.forEach((id, i) => (logits[id] = row.values[i] as number))
    return logits
  }
}

/** The first records arrive with the relay's welcome, which may come a moment after the node is up. */
async function recordsOf(node: SwarmNode, digest: string): Promise<PeerRecord[]> {
  const deadline = performance.now() + 20_000
  for (;;) {
    const records = node.directory.records(digest)
    if (records.length > 0) return records
    if (performance.now() > deadline) throw new Error('no records of the model in 20 s')
    await new Promise<void>((resolve) => {
      const stop = node.directory.onChange(() => done())
      const timer = setTimeout(() => done(), 500)
      const done = (): void => {
        stop()
        clearTimeout(timer)
        resolve()
      }
    })
  }
}

/** Index of the largest value; ties to the lower id, as the product breaks them. */
export function argmax(logits: Float32Array): number {
  return logits.reduce((best, value, id) => (value > (logits[best] as number) ? id : best), 0)
}
