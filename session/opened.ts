/** What a hop answers to `open`, as far as it may be believed. */
import { readJson, type Frame } from '../swarm/codec.ts'
import { MAX_LOGITS_ROWS } from '../swarm/limits.ts'

export interface Opened {
  /** '' where it does not say. */
  weights: string
  backend: string
  /** Rows of a step whose logits it gives: 1 where it knows nothing of guesses. */
  tryRows: number
  /** Its connection to the next hop goes through a relay. */
  isNextRelayed: boolean
  /** Other sessions that it had; null where it does not say. */
  sessions: number | null
  /** What it has kept of the prefix that was named. Not checked: what is possible depends on the names. */
  kept: unknown
  /** Whether its session can go on after the loss of another hop. */
  resumes: boolean
  /** Of a session that goes on: tokens that it holds, and those that it can send on again. */
  held: number
  outputs: number
}

/** @throws SwarmError BAD_FRAME for what is no JSON object */
export function readOpened(frame: Frame): Opened {
  const message = readJson(frame)
  const { sessions } = message
  const isCount = typeof sessions === 'number' && Number.isSafeInteger(sessions) && sessions >= 0
  return {
    weights: wordOf(message['weights']),
    backend: wordOf(message['backend']),
    tryRows: Math.min(Math.max(1, countOf(message['logitsRows'])), MAX_LOGITS_ROWS),
    isNextRelayed: message['nextDirect'] === false,
    sessions: isCount ? sessions : null,
    kept: message['kept'],
    resumes: message['resumes'] === true,
    held: countOf(message['held']),
    outputs: countOf(message['outputs']),
  }
}

function countOf(value: unknown): number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value > 0 ? value : 0
}

function wordOf(value: unknown): string {
  return typeof value === 'string' ? value.slice(0, 16) : ''
}
