/** Numbers, bytes and durations in the page's language, through `Intl`. */
import type { Language } from './languages.ts'

export interface Formats {
  integer(value: number): string
  /** Up to `digits` decimals. */
  decimal(value: number, digits?: number): string
  /** Decimal units (1 MB = 1e6 bytes), as the donor's budget is given. */
  bytes(value: number): string
  /** A span of time: `430 ms`, `2.1 s`, `3 min`, `1 h 20 min`. */
  duration(ms: number): string
  /** A short time with its tenths: `4.2 ms`. */
  shortTime(ms: number): string
  /** How long something has gone on: whole seconds, then as a duration. */
  elapsed(ms: number): string
  time(at: number): string
}

const BYTE_UNITS = ['byte', 'kilobyte', 'megabyte', 'gigabyte', 'terabyte'] as const

export function createFormats(language: Language): Formats {
  const number = (value: number, options: Intl.NumberFormatOptions) =>
    new Intl.NumberFormat(language, options).format(value)
  const unit = (value: number, name: string, digits: number) =>
    number(value, { style: 'unit', unit: name, unitDisplay: 'short', maximumFractionDigits: digits })
  const clock = new Intl.DateTimeFormat(language, { hour: '2-digit', minute: '2-digit', second: '2-digit' })
  const duration = (ms: number): string => {
    if (ms < 1000) return unit(ms, 'millisecond', 0)
    if (ms < 60_000) return unit(ms / 1000, 'second', ms < 10_000 ? 1 : 0)
    const minutes = Math.floor(ms / 60_000)
    if (minutes < 60) return unit(minutes, 'minute', 0)
    return `${unit(Math.floor(minutes / 60), 'hour', 0)} ${unit(minutes % 60, 'minute', 0)}`
  }
  return {
    integer: (value) => number(value, { maximumFractionDigits: 0 }),
    decimal: (value, digits = 1) => number(value, { maximumFractionDigits: digits }),
    bytes(value) {
      let scaled = value
      let step = 0
      while (scaled >= 1000 && step < BYTE_UNITS.length - 1) {
        scaled /= 1000
        step += 1
      }
      // `Intl` spells the single unit out: "0 byte".
      if (step === 0) return `${number(value, { maximumFractionDigits: 0 })} B`
      return unit(scaled, BYTE_UNITS[step] ?? 'byte', scaled < 100 ? 1 : 0)
    },
    duration,
    elapsed: (ms) => (ms < 60_000 ? unit(Math.floor(ms / 1000), 'second', 0) : duration(ms)),
    shortTime: (ms) => (ms < 100 ? unit(ms, 'millisecond', 1) : unit(ms, 'millisecond', 0)),
    time: (at) => clock.format(at),
  }
}
