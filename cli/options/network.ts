/** The relay's options as the command line shows them: under one heading, those without effect and limits under theirs. */
import { relayOptions } from '../../relay/options.ts'
import type { AnyOption } from './schema.ts'

export const networkOptions = Object.fromEntries(
  Object.entries(relayOptions).map(([name, option]) => [name, { group: 'Network', ...reasonOnly(option) }]),
) as typeof relayOptions

/** The line that shows it begins with the same words. */
function reasonOnly(option: AnyOption): AnyOption {
  const ignored = option.ignored?.replace(/^means nothing here: /, '')
  return ignored === undefined ? option : { ...option, ignored }
}
