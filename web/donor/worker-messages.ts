/**
 * What the page and the donor's Worker say to each other: numbered calls with one answer each, and events. Both directions
 * are discriminated unions. Errors travel as plain data that keeps its code. The hub's token crosses here and lives in
 * memory only.
 */
import type { AutotuneMode, Backend, BackendChoice, BackendReason } from '../../swarm/backend.ts'
import type { PlainError } from '../../swarm/errors.ts'
import type { KvFormat, LlamaConfig, WeightFormat } from '../../swarm/model/config.ts'
import type {
  LogitsRequest,
  LogitsRow,
  RunnerStatus,
  SessionRequest,
  StepFailure,
  StepInput,
  StepOutput,
} from '../../swarm/span-runner.ts'
import type { Span } from '../../swarm/span.ts'
import type { SpanProgress } from '../weights/progress.ts'

export interface AdapterInfo {
  /** For people, and part of the key of a kept speed. */
  description: string
  backend: Backend
  reason: BackendReason
}

export interface EngineChoice {
  backend: BackendChoice
  /** For WebAssembly; null: as many as the machine has for each of its tabs. */
  threads: number | null
}

export interface LoadInput {
  /** Chosen by the caller; later calls name the runner by it. */
  runner: number
  repo: string
  /** Commit. */
  revision: string
  hubUrl: string
  token?: string
  config: LlamaConfig
  span: Span
  format: WeightFormat
  cacheTokens: number
  kv: KvFormat
  autotune: AutotuneMode
}

/** Calls by method. All but `open` and `load` name a loaded runner. */
export interface WorkerCalls {
  open: { input: EngineChoice; result: AdapterInfo }
  /** `isTuned`: its kernels were chosen just now. */
  load: { input: LoadInput; result: { hasHead: boolean; notFinite: number; isTuned: boolean } }
  /** Runs the canary in the runner's format, beside it. */
  check: { input: { runner: number }; result: { exact: boolean } }
  measure: { input: { runner: number }; result: { blockStepsPerSecond: number } }
  openSession: { input: { runner: number; request: SessionRequest }; result: number }
  closeSession: { input: { runner: number; session: string }; result: null }
  truncateSession: { input: { runner: number; session: string; length: number }; result: null }
  step: { input: { runner: number; batch: StepInput[] }; result: (StepOutput | StepFailure)[] }
  lastLogits: { input: { runner: number; session: string; request: LogitsRequest }; result: LogitsRow }
  dispose: { input: { runner: number }; result: null }
}
export type WorkerMethod = keyof WorkerCalls

export type WorkerCallMessage = {
  [M in WorkerMethod]: { type: 'call'; call: number; method: M; input: WorkerCalls[M]['input'] }
}[WorkerMethod]

export type ToWorker = WorkerCallMessage | { type: 'cancel'; call: number }

export type FromWorker =
  | { type: 'answer'; call: number; result: WorkerCalls[WorkerMethod]['result']; status: RunnerStatus | null }
  | { type: 'failed'; call: number; error: PlainError; status: RunnerStatus | null }
  | { type: 'progress'; call: number; progress: SpanProgress }
  /** Bytes of bodies that came from the hub since the worker started. */
  | { type: 'fetched'; bytes: number }
  | { type: 'warning'; text: string }
  /** For the log. */
  | { type: 'note'; text: string }
  /** The GPU is gone; every runner with it. */
  | { type: 'lost'; reason: string }

/** Buffers to hand over rather than copy: of hidden states, tokens and logits, each once. */
export function transfersOf(values: readonly (StepInput | StepOutput | StepFailure | LogitsRow)[]): ArrayBuffer[] {
  const buffers = new Set<ArrayBuffer>()
  const add = (array: Uint32Array | Float32Array | undefined): void => {
    if (array?.buffer instanceof ArrayBuffer) buffers.add(array.buffer)
  }
  const addRow = (row: LogitsRow): void => {
    add(row.ids)
    add(row.values)
  }
  for (const value of values) {
    if ('ids' in value) addRow(value)
    else if (!('error' in value)) {
      add(value.hidden)
      if ('tokens' in value) add(value.tokens)
      if (value.logits !== undefined && 'ids' in value.logits) addRow(value.logits)
      if ('earlierLogits' in value) value.earlierLogits?.forEach(addRow)
    }
  }
  return [...buffers]
}
