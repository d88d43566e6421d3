import { expect, test } from 'vitest'
import { DownloadPace } from '../../../../web/donor/download-pace.ts'
import type { LoadProgress } from '../../../../web/donor/state.ts'

function progress(more: Partial<LoadProgress>): LoadProgress {
  return {
    phase: 'download',
    doneBytes: 0,
    totalBytes: 400,
    cachedBytes: 0,
    bytesPerSecond: 50,
    etaSeconds: null,
    ...more,
  }
}
const LOADED = { start: 0, end: 4 }

test('blocks that are not on the disk take as long as their bytes did', () => {
  const pace = new DownloadPace()
  pace.learn(LOADED, progress({}))
  expect(pace.secondsFor({ start: 4, end: 8 }, [LOADED])).toBe(8)
  expect(pace.secondsFor({ start: 2, end: 6 }, [LOADED])).toBe(4)
  expect(pace.secondsFor({ start: 2, end: 6 }, [LOADED, { start: 5, end: 9 }])).toBe(2)
  expect(pace.secondsFor(LOADED, [LOADED])).toBe(0)
})

test('what nobody has seen costs nothing: other phases and a line on which nothing came yet', () => {
  const pace = new DownloadPace()
  expect(pace.secondsFor({ start: 4, end: 8 }, [])).toBe(0)
  pace.learn(LOADED, progress({ bytesPerSecond: 0 }))
  pace.learn(LOADED, progress({ phase: 'upload', bytesPerSecond: 9 }))
  expect(pace.secondsFor({ start: 4, end: 8 }, [])).toBe(0)
})

test('the newest figures count', () => {
  const pace = new DownloadPace()
  pace.learn(LOADED, progress({}))
  pace.learn(LOADED, progress({ bytesPerSecond: 100 }))
  pace.learn(LOADED, progress({ bytesPerSecond: 0 }))
  expect(pace.secondsFor({ start: 4, end: 8 }, [])).toBe(4)
})
