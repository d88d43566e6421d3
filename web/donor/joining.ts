/**
 * How a donor comes to its first span: claims, settles, loads, and begins again when an earlier claim that it had not heard
 * of takes the place, or when blocks lose their last holder meanwhile. Where memory turns out to be less than was thought it takes
 * fewer blocks, unless a person named their number.
 */
import type { DonorSettings } from '../../swarm/donor-settings.ts'
import { SwarmError } from '../../swarm/errors.ts'
import {
  chooseByClaim,
  chooseTogether,
  coversUnclaimed,
  startingBefore,
  TOGETHER_MS,
  type Joiner,
} from '../../swarm/planner/claims.ts'
import { unclaimedBlocks } from '../../swarm/planner/coverage.ts'
import { viewInFormat } from '../../swarm/planner/formats.ts'
import type { PlacementRule } from '../../swarm/planner/types.ts'
import { sameSpan, type Span } from '../../swarm/span.ts'
import type { DonorLog } from './donor-log.ts'
import type { DonorEnvironment } from './environment.ts'
import type { Member } from './member.ts'
import { usesDirectory } from './promise-keeper.ts'
import { SETTLE_MS, SETTLE_WITHOUT_DIRECTORY_MS, settleClaim } from './settle.ts'
import type { LoadedSpan, SpanLoader } from './span-loader.ts'
import type { LoadProgress } from './state.ts'

export interface JoiningOptions {
  environment: DonorEnvironment
  member: Member
  joiner: Joiner
  /** Given in fixed mode: nothing is chosen. */
  fixed: Span | null
  rule: PlacementRule
  settings: DonorSettings
  loader: SpanLoader
  log: DonorLog
  onSelected: (span: Span) => void
  onProgress: (span: Span, progress: LoadProgress) => void
  signal: AbortSignal
}

/** The span that was chosen, loaded and measured. @throws SwarmError as loading does, or the signal's reason */
export async function joinSwarm(options: JoiningOptions): Promise<LoadedSpan> {
  const { environment, member, loader, fixed, signal } = options
  if (fixed !== null) {
    member.announce({ state: 'joining', span: fixed })
    options.onSelected(fixed)
    return await loader.load(fixed, (progress) => options.onProgress(fixed, progress), signal)
  }
  let { joiner } = options
  for (;;) {
    const attempt = { ...options, joiner }
    const span = await settle(environment, attempt)
    options.onSelected(span)
    try {
      const loaded = await loadUnlessOvertaken(attempt, span)
      if (loaded !== null) return loaded
    } catch (error) {
      const length = shorter(joiner.length)
      if (options.settings.numBlocks !== null || length === null || !isExhausted(error)) throw error
      options.log.warn(`${error.message}. This tab tries ${length === 1 ? 'one block' : `${length} blocks`} instead.`)
      joiner = { ...joiner, length }
      member.announce({ maxBlocks: length })
    }
  }
}

/** The budget is what a browser tells, or a guess; what is really there only an allocation shows. null: nothing shorter. */
function shorter(length: number): number | null {
  return length === 1 ? null : Math.max(1, Math.floor(length * 0.75))
}

function isExhausted(error: unknown): error is SwarmError {
  return error instanceof SwarmError && error.code === 'OUT_OF_MEMORY'
}

/** How long a claim is watched, and how records are looked for, depends on what tells of them. */
export function settlingIn(environment: DonorEnvironment, member: Member, signal: AbortSignal) {
  const isPushed = usesDirectory(environment, member)
  const { digest } = member.fields.model
  return {
    clock: environment.clock,
    directory: member.node.directory,
    signal,
    quietMs: isPushed ? SETTLE_MS : SETTLE_WITHOUT_DIRECTORY_MS,
    ...(isPushed
      ? {}
      : {
          lookAround: async () => {
            await member.node.refreshFromDht(digest, signal)
          },
        }),
  }
}

async function settle(environment: DonorEnvironment, options: JoiningOptions): Promise<Span> {
  const { member, joiner, rule, signal } = options
  let isFirst = true
  const span = await settleClaim({
    ...settlingIn(environment, member, signal),
    // Nothing is known yet of those who start at the same moment; a first word is not worth long thought.
    choose: () => (isFirst ? chooseByClaim : chooseTogether)(rule, member.others(), joiner),
    thinksTwice: true,
    fingerprint: () => startingBefore(member.others(), joiner).join(' '),
    publish: (claim) => {
      isFirst = false
      member.announce({ state: 'joining', span: claim, claimedAt: joiner.claimedAt })
    },
  })
  if (span === null) throw new Error('bug: a joiner withdrew its claim')
  return span
}

/** null: the place went to somebody else, or is needed less than another. */
async function loadUnlessOvertaken(options: JoiningOptions, span: Span): Promise<LoadedSpan | null> {
  const { environment, member, joiner, rule, loader, signal } = options
  const overtaken = new AbortController()
  const known = new Set(startingBefore(member.others(), joiner))
  const look = (): void => {
    const others = member.others()
    const isNews = startingBefore(others, joiner).some((claim) => !known.has(claim))
    if (isNews && !sameSpan(chooseTogether(rule, others, joiner), span)) overtaken.abort()
    const view = viewInFormat(member.view(), member.fields.weights)
    // Claims of those who started at the same time are still being thought over; from then on they count as they stand.
    if (member.now() - joiner.claimedAt < TOGETHER_MS || unclaimedBlocks(view).length === 0) return
    if (coversUnclaimed(view, span, chooseByClaim(rule, others, joiner))) overtaken.abort()
  }
  const unsubscribe = member.node.directory.onChange(look)
  const cancel = environment.clock.after(TOGETHER_MS, look)
  try {
    const loaded = await loader.load(
      span,
      (progress) => options.onProgress(span, progress),
      AbortSignal.any([signal, overtaken.signal]),
    )
    if (!overtaken.signal.aborted) return loaded
    await loaded.runner.dispose()
    return null
  } catch (error) {
    if (overtaken.signal.aborted && !signal.aborted) return null
    throw error
  } finally {
    unsubscribe()
    cancel()
  }
}
