/** Inline SVG: axes, lines and the coverage map. Colours are the page's CSS variables, so that light and dark both work. */
const WIDTH = 860
const LEFT = 64
const RIGHT = 28
const TOP = 26
const BOTTOM = 34
const INNER = WIDTH - LEFT - RIGHT

export interface Line {
  name: string
  /** One value a bin. */
  values: readonly number[]
  /** CSS class: `flow`, `petals` or `bound`. */
  look: string
}

export interface LinePlotOptions {
  /** What a screen reader says. */
  label: string
  seconds: number
  lines: readonly Line[]
  unit: string
  height?: number
}

export function linePlot({ label, seconds, lines, unit, height = 260 }: LinePlotOptions): string {
  const inner = height - TOP - BOTTOM
  const top = niceCeiling(Math.max(...lines.flatMap(({ values }) => values), 0))
  const y = (value: number): number => TOP + inner - (value / top) * inner
  const grid = yTicks(top).map(
    (value) =>
      `<line class="grid" x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${px(y(value))}" y2="${px(y(value))}"/>` +
      `<text class="axis" x="${LEFT - 8}" y="${px(y(value) + 4)}" text-anchor="end">${formatNumber(value)}</text>`,
  )
  const drawn = lines.map(({ values, look, name }) => {
    const points = values.map((value, bin) => `${px(xOf(bin, values.length))},${px(y(value))}`)
    if (look === 'bound') {
      const base = px(y(0))
      return `<path class="area bound" d="M${LEFT},${base}L${points.join('L')}L${WIDTH - RIGHT},${base}Z"><title>${name}</title></path>`
    }
    return `<path class="line ${look}" d="M${points.join('L')}"><title>${name}</title></path>`
  })
  return figure(height, label, [
    ...grid,
    ...drawn,
    timeAxis(seconds, height),
    `<text class="axis" x="${LEFT - 8}" y="14" text-anchor="end">${unit}</text>`,
  ])
}

export interface CoverageMapOptions {
  label: string
  seconds: number
  /** [bin][unit] */
  holders: readonly (readonly number[])[]
}

/** Time to the right, units downwards, a colour for how many hold it. */
export function coverageMap({ label, seconds, holders }: CoverageMapOptions): string {
  const units = holders[0]?.length ?? 0
  const row = Math.max(2, Math.min(9, Math.floor(320 / Math.max(1, units))))
  const height = TOP + units * row + BOTTOM
  const rects: string[] = []
  for (let unit = 0; unit < units; unit += 1) {
    for (let bin = 0; bin < holders.length;) {
      const level = levelOf((holders[bin] as readonly number[])[unit] as number)
      let end = bin + 1
      while (end < holders.length && levelOf((holders[end] as readonly number[])[unit] as number) === level) end += 1
      const x = xOf(bin, holders.length, 0)
      const width = xOf(end, holders.length, 0) - x
      rects.push(`<rect class="h${level}" x="${px(x)}" y="${TOP + unit * row}" width="${px(width)}" height="${row}"/>`)
      bin = end
    }
  }
  const step = units > 64 ? 16 : units > 16 ? 8 : 4
  const names = Array.from({ length: Math.ceil(units / step) }, (_, i) => i * step).map(
    (unit) =>
      `<text class="axis" x="${LEFT - 8}" y="${px(TOP + (unit + 0.5) * row + 4)}" text-anchor="end">${unit}</text>`,
  )
  const title = `<text class="axis" x="${LEFT - 8}" y="14" text-anchor="end">unit</text>`
  return figure(height, label, [
    title,
    `<g shape-rendering="crispEdges">${rects.join('')}</g>`,
    ...names,
    timeAxis(seconds, height),
  ])
}

/** 0, 1, 2, 3–4, 5 and more holders. */
export const LEVELS = ['nobody', '1', '2', '3–4', '5 and more'] as const

function levelOf(holders: number): number {
  if (holders <= 2) return holders
  return holders <= 4 ? 3 : 4
}

function figure(height: number, label: string, parts: readonly string[]): string {
  return `<svg viewBox="0 0 ${WIDTH} ${height}" role="img" aria-label="${label}">${parts.join('')}</svg>`
}

/** Middle of a bin, or with `shift` 0 its left edge. */
function xOf(bin: number, count: number, shift = 0.5): number {
  return LEFT + ((bin + shift) / count) * INNER
}

function timeAxis(seconds: number, height: number): string {
  const base = height - BOTTOM
  const [step, divisor, unit] = timeStep(seconds)
  const ticks: string[] = []
  for (let t = 0; t <= seconds * 1.0001; t += step) {
    const x = LEFT + (t / seconds) * INNER
    const isLast = t + step > seconds * 1.0001
    ticks.push(
      `<line class="axis-line" x1="${px(x)}" x2="${px(x)}" y1="${base}" y2="${base + 5}"/>` +
        `<text class="axis" x="${px(x)}" y="${base + 18}" text-anchor="middle">${formatNumber(t / divisor)}${isLast ? ` ${unit}` : ''}</text>`,
    )
  }
  return `<line class="axis-line" x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${base}" y2="${base}"/>${ticks.join('')}`
}

/** Step in seconds, what a label is divided by, and its unit: six to twelve ticks. */
function timeStep(seconds: number): readonly [number, number, string] {
  const steps = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 14_400, 21_600, 43_200, 86_400]
  const step = steps.find((candidate) => seconds / candidate <= 12) ?? Math.ceil(seconds / 12)
  if (step >= 3600) return [step, 3600, 'h']
  return step >= 60 ? [step, 60, 'min'] : [step, 1, 's']
}

function yTicks(top: number): number[] {
  return [0, 0.25, 0.5, 0.75, 1].map((share) => share * top)
}

function niceCeiling(value: number): number {
  if (value <= 0) return 1
  const scale = 10 ** Math.floor(Math.log10(value))
  const step = [1, 2, 4, 6, 8, 10].find((candidate) => candidate * scale >= value) ?? 10
  return step * scale
}

function formatNumber(value: number): string {
  return String(Math.round(value * 100) / 100)
}

function px(value: number): string {
  return String(Math.round(value * 10) / 10)
}
