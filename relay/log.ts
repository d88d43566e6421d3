/**
 * The relay's log: plain lines for people, or JSON lines for machines. It knows nothing of prompts or tokens (the relay
 * never sees one) and takes no addresses of people: a refusal names the peer id and the limit. Floods of one refusal
 * become one line a second with a count.
 */
import { pino } from 'pino'

export type LogFields = Record<string, string | number | boolean>

export interface RelayLog {
  /** A line that people copy or other programs look for: printed as it stands. */
  print(line: string): void
  info(message: string, fields?: LogFields): void
  warn(message: string, fields?: LogFields): void
  error(message: string, fields?: LogFields): void
}

export type LogFormat = 'text' | 'json'

/** Writes whole lines with `write` (by default to standard error, so that standard output stays free for answers). */
export function createLog(
  format: LogFormat,
  write: (line: string) => void = (line) => process.stderr.write(line),
): RelayLog {
  if (format === 'json') {
    const logger = pino(
      { base: null, timestamp: pino.stdTimeFunctions.isoTime, formatters: { level: (label) => ({ level: label }) } },
      { write },
    )
    return {
      print: (line) => logger.info(line),
      info: (message, fields = {}) => logger.info(fields, message),
      warn: (message, fields = {}) => logger.warn(fields, message),
      error: (message, fields = {}) => logger.error(fields, message),
    }
  }
  const at = (level: string) => (message: string, fields?: LogFields) =>
    write(`${new Date().toISOString().slice(11, 19)} ${level}${message}${textOf(fields)}\n`)
  return { print: (line) => write(`${line}\n`), info: at(''), warn: at('warning: '), error: at('error: ') }
}

export const silentLog: RelayLog = {
  print: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
}

function textOf(fields: LogFields = {}): string {
  return Object.entries(fields)
    .map(([key, value]) => ` ${key}=${/[\s"=]/u.test(String(value)) ? JSON.stringify(value) : value}`)
    .join('')
}
