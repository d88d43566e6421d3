/**
 * What a command has opened and must close, in reverse order, however it ends. The first interrupt asks everything to
 * stop and waits; the second ends the process at once (Playwright kills its browser and the exit handlers remove
 * temporary folders even then).
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describeError } from '../swarm/errors.ts'

/** A part that does not close in this time is left to the end of the process. */
const CLOSE_LIMIT_MS = 5_000

export const EXIT_INTERRUPTED = 130

export class Lifecycle {
  /** Aborted at the first interrupt. */
  readonly signal: AbortSignal
  readonly #abort = new AbortController()
  readonly #closers: { name: string; close: () => Promise<void> | void; limitMs: number }[] = []
  readonly #report: (text: string) => void
  #closing: Promise<void> | null = null

  constructor(report: (text: string) => void) {
    this.#report = report
    this.signal = this.#abort.signal
  }

  /** What is added last is closed first. Adding after an interrupt closes at once. */
  onClose(name: string, close: () => Promise<void> | void, limitMs = CLOSE_LIMIT_MS): void {
    this.#closers.push({ name, close, limitMs })
  }

  get interrupted(): boolean {
    return this.signal.aborted
  }

  listenToSignals(): void {
    const onSignal = (): void => {
      if (this.signal.aborted) process.exit(EXIT_INTERRUPTED)
      this.#abort.abort(new Error('interrupted'))
    }
    for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, onSignal)
  }

  /** Resolves at the interrupt. */
  async untilInterrupted(): Promise<void> {
    if (this.signal.aborted) return
    await new Promise<void>((resolve) => this.signal.addEventListener('abort', () => resolve(), { once: true }))
  }

  /** Closes everything once; safe to call again. */
  close(): Promise<void> {
    this.#closing ??= this.#closeAll()
    return this.#closing
  }

  async #closeAll(): Promise<void> {
    for (let closer = this.#closers.pop(); closer !== undefined; closer = this.#closers.pop()) {
      const { name, close, limitMs } = closer
      try {
        await withLimit(Promise.resolve(close()), limitMs)
      } catch (error) {
        this.#report(`Stopping ${name}: ${describeError(error)}`)
      }
    }
  }
}

async function withLimit(closing: Promise<void>, limitMs: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () => reject(new Error(`not done after ${limitMs / 1000} s, left to the end of the process`)),
      limitMs,
    )
  })
  try {
    await Promise.race([closing, late])
  } finally {
    clearTimeout(timer)
  }
}

/**
 * A folder that takes every temporary file of this process and its browser (both ask TMPDIR), removed at the end
 * whatever the end is.
 */
export function ownTempDir(): string {
  const path = mkdtempSync(join(tmpdir(), 'tabswarm-'))
  for (const name of ['TMPDIR', 'TMP', 'TEMP']) process.env[name] = path
  process.once('exit', () => {
    // The browser may still be writing while it dies.
    rmSync(path, { recursive: true, force: true, maxRetries: 5, retryDelay: 50 })
  })
  return path
}
