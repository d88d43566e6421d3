/**
 * What a peer says of its speed when it has measured it again. The same device measures a fifth more or less from one time to
 * the next, and whoever plans by that moves peers back and forth for nothing: in 11 of 60 steady swarms of eight somebody would
 * gain a tenth by moving after it. So what is within that of what was said is not news.
 */

/** Of two measurements of one speed, each off by a fifth: 1.2 ÷ 0.8, and what is smaller is rounding. */
const APART = 1.5 + 1e-9

/** `said`: before. Both in block-steps a second and > 0. */
export function announcedSpeed(said: number, measured: number): number {
  return Math.max(measured / said, said / measured) > APART ? measured : said
}
