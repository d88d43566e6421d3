/**
 * What a donor would do, before it does it: settings checked, model read as far as its headers, GPU opened to know what fits,
 * bytes counted. Downloads no weights and joins nothing; the choice of blocks is made again at the start.
 */
import type { DonorDefaults } from '../../swarm/app-config.ts'
import { fixedSpan, makeDonorSettings, type DonorSettings } from '../../swarm/donor-settings.ts'
import { unitWeightsOf } from '../../swarm/model/unit-weights.ts'
import { formatServed, withinFormat } from '../../swarm/planner/formats.ts'
import { placementRule } from '../../swarm/planner/rules.ts'
import type { SwarmView } from '../../swarm/planner/types.ts'
import { typicalSpeed, viewOf } from '../../swarm/planner/view.ts'
import type { Span } from '../../swarm/span.ts'
import type { DonorLog } from './donor-log.ts'
import { readDonorModel, type DonorModel, type ModelRequest } from './donor-model.ts'
import type { Engine } from './engine.ts'
import type { DonorEnvironment } from './environment.ts'
import { memoryRange } from './memory-range.ts'
import { bytesOf, chooseSizing, kvFormat, type Sizing } from './sizing.ts'
import type { DonorPlan } from './state.ts'

/** What a plan has found out and a start goes on with. */
export interface Prepared {
  settings: DonorSettings
  model: DonorModel
  sizing: Sizing
  engine: Engine
  plan: DonorPlan
}

export interface PlanOptions {
  environment: DonorEnvironment
  request: ModelRequest
  defaults: DonorDefaults
  log: DonorLog
  /** The engine belongs to the caller from here on, also when the plan fails later. */
  onEngine: (engine: Engine) => void
  signal: AbortSignal
}

/** @throws SwarmError BAD_OPTION, HUB_*, BAD_CONFIG, UNSUPPORTED_MODEL, NO_WEBGPU, NO_ADAPTER, OUT_OF_MEMORY, BAD_SAFETENSORS */
export async function preparePlan(options: PlanOptions): Promise<Prepared> {
  const { environment, log, signal } = options
  const settings = makeDonorSettings(options.defaults)
  for (const note of settings.notes) log.info(note)
  const model = await readDonorModel(environment, options.request, settings, {
    signal,
    onWait: (sentence) => log.warn(sentence),
  })
  const engine = await environment.openEngine({ backend: settings.backend, threads: settings.threads })
  options.onEngine(engine)
  const device = { backend: engine.adapter.backend, deviceMemoryGb: environment.deviceMemoryGb }
  if (settings.kv !== null && settings.kv !== kvFormat(settings, device)) {
    log.info(`kv ${settings.kv} is for GPUs: without one this tab keeps keys and values in f32.`)
  }
  signal.throwIfAborted()
  return await sizePlan({ environment, settings, model, engine, signal })
}

/** The plan of what was found out, for another budget. @throws SwarmError OUT_OF_MEMORY, HUB_* (headers not read yet) */
export async function resizePlan(
  environment: DonorEnvironment,
  { settings, model, engine }: Prepared,
  memoryBytes: number | null,
  signal: AbortSignal,
): Promise<Prepared> {
  return await sizePlan({ environment, settings: { ...settings, memoryBytes }, model, engine, signal })
}

async function sizePlan(options: {
  environment: DonorEnvironment
  settings: DonorSettings
  model: DonorModel
  engine: Engine
  signal: AbortSignal
}): Promise<Prepared> {
  const { environment, settings, model, engine, signal } = options
  const { adapter } = engine
  const device = { backend: adapter.backend, deviceMemoryGb: environment.deviceMemoryGb }
  const view = viewOf(environment.knownRecords(model.id.digest), model.id.blocks, unitWeightsOf(model.config))
  const sizing = chooseSizing(model.config, settings, device, formatServed(view))
  const span = likelySpan(view, settings, sizing)
  const files = await environment.countFiles(model.source, model.config, { span, format: sizing.format }, signal)
  signal.throwIfAborted()
  const plan: DonorPlan = {
    repo: model.id.repo,
    revision: model.id.revision,
    blocks: model.id.blocks,
    span,
    downloadBytes: files.downloadBytes,
    cachedBytes: files.cachedBytes,
    gpuBytes: bytesOf(model.config, span, sizing),
    weights: sizing.format,
    adapter: adapter.description,
    backend: adapter.backend,
    backendReason: adapter.reason,
    mode: settings.placement.mode,
    memory: { budgetBytes: sizing.budgetBytes, ...memoryRange(model.config, settings, device) },
  }
  return { settings, model, sizing, engine, plan }
}

function likelySpan(view: SwarmView, { placement, rule }: DonorSettings, { length, format }: Sizing): Span {
  if (placement.mode === 'fixed') return fixedSpan(placement, view.blocks)
  const joiner = { peerId: '', length, blockStepsPerSecond: typicalSpeed(view.peers) }
  return withinFormat(placementRule(rule), format).chooseSpan(view, joiner)
}
