/** How setup speaks: progress on standard error, failures as one sentence without a stack. */

/** An expected failure with its sentence; shown without a stack. */
export class SetupError extends Error {
  /** @param {string} sentence */
  constructor(sentence) {
    super(sentence)
    this.sentence = sentence
  }
}

/** @param {string} text */
export function say(text) {
  process.stderr.write(`${text}\n`)
}
