/**
 * What `tokenizer_config.json` says about special tokens: their texts (for chat templates), which chat template is meant,
 * and whether the begin-of-text token is added. Special tokens are added once: text that already begins with the
 * begin-of-text token does not get a second one.
 */

const TEMPLATE_TOKENS = ['bos_token', 'eos_token', 'unk_token', 'pad_token'] as const

/** Texts of the special tokens a template may name; absent ones are left out. */
export function specialTokenTexts(tokenizerConfig: object): Record<string, string> {
  const texts: Record<string, string> = {}
  for (const name of TEMPLATE_TOKENS) {
    const content = tokenText((tokenizerConfig as Record<string, unknown>)[name])
    if (content !== null) texts[name] = content
  }
  return texts
}

/** `chat_template` is one text, or a list of named ones of which `default` is meant; null where there is none. */
export function chatTemplateOf(tokenizerConfig: object): string | null {
  const value = (tokenizerConfig as Record<string, unknown>)['chat_template']
  if (typeof value === 'string') return value === '' ? null : value
  if (!Array.isArray(value)) return null
  for (const entry of value as unknown[]) {
    const { name, template } = (entry ?? {}) as { name?: unknown; template?: unknown }
    if (name === 'default' && typeof template === 'string') return template
  }
  return null
}

export interface BosPolicy {
  /** Ids of a text that special tokens were asked for → with the begin and end tokens this tokenizer wants, once. */
  apply(ids: number[]): number[]
}

/**
 * `add_bos_token` and `add_eos_token` decide only for the Llama tokenizer classes (begin: true unless said otherwise),
 * as in Transformers; every other class does what its post-processor says.
 */
export function bosPolicy(tokenizerConfig: object, idOf: (token: string) => number | undefined): BosPolicy {
  const config = tokenizerConfig as Record<string, unknown>
  const bosId = idOfToken(config['bos_token'], idOf)
  const eosId = idOfToken(config['eos_token'], idOf)
  const tokenizerClass = config['tokenizer_class']
  const isLlama = typeof tokenizerClass === 'string' && /^(Code)?LlamaTokenizer(Fast)?$/.test(tokenizerClass)
  const addsBos = isLlama ? config['add_bos_token'] !== false : null
  const addsEos = isLlama ? config['add_eos_token'] === true : null
  return {
    apply(ids) {
      const result = [...ids]
      if (bosId !== undefined) {
        while (result[0] === bosId && result[1] === bosId) result.shift()
        if (addsBos === true && result[0] !== bosId) result.unshift(bosId)
        if (addsBos === false && result[0] === bosId) result.shift()
      }
      if (eosId !== undefined && addsEos === true && result.at(-1) !== eosId) result.push(eosId)
      return result
    },
  }
}

function idOfToken(value: unknown, idOf: (token: string) => number | undefined): number | undefined {
  const text = tokenText(value)
  return text === null ? undefined : idOf(text)
}

/** A token is written as its text or as an object with `content`. */
function tokenText(value: unknown): string | null {
  if (typeof value === 'string') return value
  const content = (value as { content?: unknown } | null | undefined)?.content
  return typeof content === 'string' ? content : null
}
