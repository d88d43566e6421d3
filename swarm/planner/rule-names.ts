/** The placement rules by name, apart from their code: a page that only asks for a model reads settings and places nobody. */

/** The default first; where none is named, the simulator runs a trace under each. */
export const RULE_NAMES = ['flow', 'petals'] as const
export type RuleName = (typeof RULE_NAMES)[number]

/** What tabs go by that were told nothing. */
export const DEFAULT_RULE: RuleName = RULE_NAMES[0]
