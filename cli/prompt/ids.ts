/** `--prompt-ids 1,2,3` as numbers. */
import { SwarmError } from '../../swarm/errors.ts'

/** Commas or spaces between. Whether the ids exist in the vocabulary is the session's check. @throws SwarmError BAD_TOKEN_ID, EMPTY_PROMPT */
export function parsePromptIds(text: string): number[] {
  const parts = text.split(/[\s,]+/).filter((part) => part !== '')
  if (parts.length === 0) {
    throw new SwarmError('EMPTY_PROMPT', '--prompt-ids is empty', {
      action: 'Give token ids, as in --prompt-ids 1,2,3.',
    })
  }
  return parts.map((part) => {
    if (/^\d{1,9}$/.test(part)) return Number(part)
    throw new SwarmError('BAD_TOKEN_ID', `"${part}" in --prompt-ids is not a token id`, {
      action: 'Token ids are whole numbers from 0, as in --prompt-ids 1,2,3.',
    })
  })
}
