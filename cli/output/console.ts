/**
 * Where a command's words go. `line` is what it was asked for, `progress` what a person watches meanwhile; with `--prompt`
 * on `start` even lines go to standard error, so that standard output is the answer and nothing else.
 */
export interface Output {
  line(text: string): void
  progress(text: string): void
  /** Raw text of an answer, as it streams. */
  answer(text: string): void
}

/** `linesTo`: 'stderr' keeps standard output for the answer alone. */
export function consoleOutput(linesTo: 'stdout' | 'stderr'): Output {
  const lines = linesTo === 'stdout' ? process.stdout : process.stderr
  return {
    line: (text) => void lines.write(`${text}\n`),
    progress: (text) => void process.stderr.write(`${text}\n`),
    answer: (text) => void process.stdout.write(text),
  }
}
