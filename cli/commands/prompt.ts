/** `tabswarm prompt`: a Node client without browser or GPU; it joins through a relay and talks to the tabs themselves. */
import type { ModelSource } from '../../hub/source.ts'
import { tellRelayNews } from '../../net/relay-news.ts'
import { errorSentence, SwarmError } from '../../swarm/errors.ts'
import type { Output } from '../output/console.ts'
import {
  addressOptions,
  caOption,
  computeOptions,
  hubOptions,
  peerOptions,
  placementOptions,
  portOption,
  promptOption,
  rpcOptions,
  samplingOptions,
  verboseOption,
} from '../options/shared.ts'
import { text, type AnyOption, type OptionTable, type ValuesOf } from '../options/schema.ts'
import { iceServersOf } from '../prompt/app-config.ts'
import { ask, exitCodeOf, prepareQuestion } from '../prompt/ask.ts'
import { chooseModel, openPlace, type ModelWish, type OpenPlaceOptions } from '../prompt/model-source.ts'
import { loadPromptModel } from '../prompt/prompt-model.ts'
import { startRequestingNode } from '../prompt/requesting-node.ts'
import { findSwarm, type SwarmEntry } from '../prompt/swarm-entry.ts'
import { findHubToken } from '../tabs/hub-token.ts'
import { command, type Runtime } from './command.ts'

const CLIENT_ONLY = 'a client serves no blocks'
const NO_PORT = 'a client opens no port'

const options = {
  ...promptOption,
  ...samplingOptions,
  ...verboseOption,
  model: text('model to ask (default: the first one the relay offers)', { group: 'Model', placeholder: 'NAME' }),
  ...hubOptions,
  ...peerOptions,
  ...caOption,
  ...ignoring({ ...placementOptions, ...computeOptions }, CLIENT_ONLY),
  ...ignoring({ port: portOption(''), ...addressOptions, ...rpcOptions }, NO_PORT),
}

/** The original's client took the servers' flags as well; each is accepted and a line says that it does nothing. */
function ignoring<Table extends OptionTable>(table: Table, reason: string): Table {
  const entries = Object.entries(table).map(([name, option]): [string, AnyOption] => [
    name,
    name === 'stage' ? option : ({ ...option, ignored: reason, default: undefined } as AnyOption),
  ])
  return Object.fromEntries(entries) as Table
}

type Values = ValuesOf<typeof options>

export const promptCommand = command<typeof options>({
  text: {
    name: 'prompt',
    summary: 'asks the swarm from the command line; needs no browser.',
    words: '[TEXT]',
    examples: [
      'tabswarm prompt "Hello, how are you?" --dht-initial-peers /ip4/203.0.113.7/tcp/8080/ws/p2p/12D3KooW…',
      'tabswarm prompt --prompt "Tell me a story." --temperature 0 --json',
      'echo "Tell me a story." | tabswarm prompt -',
    ],
  },
  options,
  linesTo: () => 'stderr',
  async run(parsed, runtime, output) {
    const { values } = parsed
    checkStage(values.stage, output)
    const prompt = await promptText(values.prompt, parsed.words, values.promptIds)
    return promptSwarm({ ...values, prompt }, parsed.given.has('hubUrl'), runtime, output)
  },
})

async function promptSwarm(values: Values, hubUrlGiven: boolean, runtime: Runtime, output: Output): Promise<number> {
  const { lifecycle } = runtime
  const swarm = await findSwarm(values.dhtInitialPeers, lifecycle.signal)
  const wish: ModelWish = { ...values, hubUrlGiven, token: findHubToken() }
  const source = await openModelOf(swarm, wish, {
    signal: lifecycle.signal,
    onWait: (sentence) => output.progress(sentence),
  })
  const model = await loadPromptModel(source, runtime.workerFile)
  lifecycle.onClose('tokenizer', () => model.tokenizer?.dispose())
  const prepared = await prepareQuestion(model, values, output)
  const node = await startRequestingNode({
    relays: swarm.relays,
    iceServers: iceServersOf(swarm.entries.map((entry) => entry.config)),
    modelDigest: model.id.digest,
    directory: swarm.directory,
    verbose: values.verbose,
    log: (line) => output.progress(line),
  })
  lifecycle.onClose('client', () => node.stop())
  tellRelayNews(node, (news) => output.progress(news))
  const end = await ask(node, model, prepared, values, output, lifecycle.signal)
  if (end.error !== undefined) output.progress(errorSentence(end.error))
  return exitCodeOf(end)
}

/** @throws SwarmError NO_RELAY in place of what follows from no relay's answering: an unknown model, a hub that lacks it */
async function openModelOf(swarm: SwarmEntry, wish: ModelWish, reading: OpenPlaceOptions): Promise<ModelSource> {
  try {
    return await openPlace(chooseModel(wish, swarm.entries), wish, reading)
  } catch (error) {
    if (!(error instanceof SwarmError) || swarm.entries.length > 0 || error.code === 'CANCELLED') throw error
    throw new SwarmError(
      'NO_RELAY',
      `No relay answers at ${swarm.relays.join(', ')}, and without one: ${error.message}`,
      {
        action:
          'Check the address and this machine’s connection (tabswarm probe ADDRESS does), or try again in a while.',
        retryable: true,
        cause: error,
      },
    )
  }
}

/** Stage 0 was the original's client, and that is what this command is. */
function checkStage(stage: number | undefined, output: Output): void {
  if (stage === undefined) return
  if (stage !== 0) {
    throw new SwarmError('BAD_OPTION', `--stage ${stage} is a server, and prompt is the client (stage 0)`, {
      action: `To serve, run: tabswarm donate --stage ${stage} …`,
    })
  }
  output.progress('Stage 0 is the client: it serves no blocks, and needs no GPU.')
}

/** From --prompt, from the words, or from standard input for `-`. @throws SwarmError BAD_OPTION, EMPTY_PROMPT */
async function promptText(
  given: string | undefined,
  words: readonly string[],
  promptIds: string | undefined,
): Promise<string | undefined> {
  const ways = [given !== undefined, words.length > 0, promptIds !== undefined].filter(Boolean).length
  if (ways > 1) {
    throw new SwarmError('BAD_OPTION', 'The prompt was given more than once', {
      action: 'Give either --prompt TEXT, or words, or --prompt-ids.',
    })
  }
  if (given !== undefined) return given
  if (promptIds !== undefined) return undefined
  if (words.length === 1 && words[0] === '-') return readStdin()
  if (words.length > 0) return words.join(' ')
  throw new SwarmError('EMPTY_PROMPT', 'There is no prompt', { action: 'Write it: tabswarm prompt "Tell me a story."' })
}

async function readStdin(): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of process.stdin) chunks.push(Buffer.from(chunk as Uint8Array))
  return Buffer.concat(chunks).toString('utf8').trimEnd()
}
