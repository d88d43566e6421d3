/**
 * What a peer says of its speed when it has measured it again. The same device measures a fifth more or less from one time to
 * the next, and whoever plans by that moves peers back and forth for nothing: in a third of random swarms of eight somebody
 * would gain a tenth by moving after it. So what is within that of what was said is not news.
 */

/** Of two measurements of one speed, each off by a fifth: 1.2 ÷ 0.8, and what is smaller is rounding. */
const APART = 1.5 + 1e-9

/** Both in block-steps a second and > 0; `said`: null where nothing was said yet. */
export function announcedSpeed(said: number | null, measured: number): number {
  if (said === null) return measured
  return Math.max(measured / said, said / measured) > APART ? measured : said
}
