/** Refuses words that belong to no flag: mostly options that npm kept for itself because its `--` was left out. */
import { SwarmError } from '../../swarm/errors.ts'

/** @throws SwarmError BAD_OPTION */
export function refuseWords(command: string, words: readonly string[]): void {
  if (words.length === 0) return
  const shown = words.map((word) => `"${word}"`).join(' ')
  throw new SwarmError('BAD_OPTION', `${command} takes no plain words, and was given ${shown}`, {
    action: `With npm, write -- before the options: npm ${command === 'start' ? 'start' : `run ${command}`} -- --option value.`,
  })
}

/**
 * `npm start --port 9000` without `--` leaves no word when npm swallows the value too, but npm then tells its scripts so
 * by npm_config_ variables.
 * @throws SwarmError BAD_OPTION
 */
export function refuseSwallowedByNpm(command: string, names: readonly string[], env: NodeJS.ProcessEnv): void {
  if (env['npm_lifecycle_event'] === undefined) return
  const swallowed = names.find(
    (name) => NPM_OWN[name] !== true && env[`npm_config_${name.replaceAll('-', '_')}`] !== undefined,
  )
  if (swallowed === undefined) return
  throw new SwarmError('BAD_OPTION', `npm kept --${swallowed} for itself, so ${command} did not get it`, {
    action: `Write -- before the options: npm ${command === 'start' ? 'start' : `run ${command}`} -- --${swallowed} …`,
  })
}

/** Names that npm has itself, and may set for its own reasons. */
const NPM_OWN: Record<string, boolean> = { json: true, host: true, prefix: true, tag: true, version: true }

/**
 * The tabs of this process come in through its relay on loopback, for which no certificate is made.
 * @throws SwarmError BAD_OPTION
 */
export function refuseTls(command: string, { tlsCert }: { tlsCert?: string | undefined }): void {
  if (tlsCert === undefined) return
  throw new SwarmError('BAD_OPTION', `--tls-cert is for tabswarm relay, and this is ${command}`, {
    action: `Run tabswarm relay with it, and beside it tabswarm donate with --dht-initial-peers.`,
  })
}
