import { expect, test } from 'vitest'
import type { SpanProgress } from '../../../../web/weights/progress.ts'
import { ProgressTracker } from '../../../../web/weights/progress.ts'

function tracker(totalBytes: number, cachedBytes: number) {
  let now = 0
  const reports: SpanProgress[] = []
  const progress = new ProgressTracker(
    totalBytes,
    cachedBytes,
    (report) => reports.push(report),
    () => now,
  )
  const advance = (ms: number): void => void (now += ms)
  return { progress, reports, advance }
}

test('speed and time left of the phase under way', () => {
  const { progress, reports, advance } = tracker(10_000, 2_000)
  expect(reports.at(-1)).toMatchObject({ phase: 'download', doneBytes: 2_000, cachedBytes: 2_000, etaSeconds: null })
  advance(1000)
  progress.add('download', 2_000)
  expect(reports.at(-1)).toMatchObject({ doneBytes: 4_000, bytesPerSecond: 2_000, etaSeconds: 3 })
})

test('stages that run ahead do not hide the one that is behind', () => {
  const { progress, reports, advance } = tracker(100, 0)
  for (const phase of ['download', 'verify', 'upload'] as const) progress.add(phase, 60)
  advance(200)
  progress.add('upload', 0)
  expect(reports.at(-1)).toMatchObject({ phase: 'download', doneBytes: 60 })
  progress.add('download', 40)
  expect(reports.at(-1)).toMatchObject({ phase: 'verify', doneBytes: 60 })
  progress.add('verify', 40)
  progress.add('upload', 40)
  expect(reports.at(-1)).toMatchObject({ phase: 'upload', doneBytes: 100, totalBytes: 100 })
})

test('reports are rationed, phase changes and the end are not', () => {
  const { progress, reports } = tracker(1000, 0)
  for (let i = 0; i < 1000; i += 1) progress.add('download', 1)
  expect(reports).toHaveLength(2)
  expect(reports.at(-1)?.phase).toBe('verify')
})

test('an entry that was not whole goes back to the download', () => {
  const { progress, reports } = tracker(100, 100)
  expect(reports.at(-1)?.phase).toBe('verify')
  progress.miss(30)
  expect(reports.at(-1)).toMatchObject({ phase: 'download', doneBytes: 70, cachedBytes: 70 })
})

test('everything kept: no download is shown', () => {
  const { reports } = tracker(100, 100)
  expect(reports.map((report) => report.phase)).toEqual(['verify'])
})
