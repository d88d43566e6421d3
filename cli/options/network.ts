/** The relay's options as the command line shows them: under one heading, those without effect and limits under theirs. */
import { relayOptions } from '../../relay/options.ts'

export const networkOptions = Object.fromEntries(
  Object.entries(relayOptions).map(([name, option]) => [name, { group: 'Network', ...option }]),
) as typeof relayOptions
