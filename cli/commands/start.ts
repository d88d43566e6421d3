/**
 * `tabswarm start`: relay, page and donor tabs on this machine, one question asked through them, then it keeps running.
 * With `--prompt` it answers that one question on standard output, and ends without leaving anything behind.
 */
import { makeRelayConfig } from '../../relay/config.ts'
import { startRelay } from '../../relay/relay.ts'
import type { ModelOffer } from '../../swarm/app-config.ts'
import { errorSentence, SwarmError } from '../../swarm/errors.ts'
import type { Lifecycle } from '../lifecycle.ts'
import { integer, atLeast, type ValuesOf } from '../options/schema.ts'
import type { Parsed } from '../options/parse.ts'
import {
  browserOptions,
  computeOptions,
  DEFAULT_PORT,
  EMBEDDED_MODEL,
  modelOptions,
  placementOptions,
  portOption,
  promptOption,
  samplingOptions,
  verboseOption,
} from '../options/shared.ts'
import type { Output } from '../output/console.ts'
import { relayLog } from '../output/relay-log.ts'
import { dataDir } from '../profile/data-dir.ts'
import { openSlot } from '../profile/open-slot.ts'
import type { Slot } from '../profile/slots.ts'
import { ask, exitCodeOf, prepareQuestion, type EndEvent } from '../prompt/ask.ts'
import { openPlace, type ModelWish } from '../prompt/model-source.ts'
import { loadPromptModel } from '../prompt/prompt-model.ts'
import { startRequestingNode } from '../prompt/requesting-node.ts'
import { checkDonorFits, donorDefaults } from '../tabs/donor-defaults.ts'
import { findHubToken } from '../tabs/hub-token.ts'
import { chooseDonorModel, isLocalModel, modelsDirs, type ChosenModel } from '../tabs/model-offer.ts'
import { openSwarmTabs } from '../tabs/start-tabs.ts'
import { command, type Runtime } from './command.ts'
import { showSwarm } from './show-swarm.ts'
import { networkOptions } from '../options/network.ts'
import { refuseSwallowedByNpm, refuseTls, refuseWords } from './words.ts'

const options = {
  ...promptOption,
  ...samplingOptions,
  ...verboseOption,
  tabs: integer('donor tabs to open; 0: relay and page only', { group: 'Donor tabs', default: 4, check: atLeast(0) }),
  ...networkOptions,
  ...modelOptions,
  ...placementOptions,
  ...computeOptions,
  ...browserOptions,
  port: portOption(`port of page and relay (default ${DEFAULT_PORT}; with --prompt a free one)`),
}

type StartParsed = Parsed<typeof options>
export type StartValues = ValuesOf<typeof options>

const isOneShot = ({ values }: StartParsed): boolean => values.prompt !== undefined || values.promptIds !== undefined

export const startCommand = command<typeof options>({
  text: {
    name: 'start',
    summary: 'relay, page and donor tabs on this machine; asks the model one question.',
    examples: [
      'npm start',
      'npm start -- --prompt "Tell me a story." --temperature 0',
      'npm start -- --tabs 2 --port 9000 --models-dir ~/models --model org/name',
    ],
  },
  options,
  linesTo: (parsed) => (isOneShot(parsed) ? 'stderr' : 'stdout'),
  async run(parsed, runtime, output) {
    refuseWords('start', parsed.words)
    refuseTls('start', parsed.values)
    refuseSwallowedByNpm('start', ['tabs', 'port', 'model', 'prompt', 'models-dir', 'headed', 'fresh'], process.env)
    checkOneShot(parsed)
    return new Start(parsed, runtime, output).run()
  },
})

/** What is asked when nobody asked anything: short, and every model has something to say to it. */
const GREETING = 'Hello, how are you?'
const GREETING_TOKENS = 24

class Start {
  readonly #parsed: StartParsed
  readonly #values: StartValues
  readonly #runtime: Runtime
  readonly #output: Output
  readonly #lifecycle: Lifecycle
  readonly #slot: Slot

  constructor(parsed: StartParsed, runtime: Runtime, output: Output) {
    this.#parsed = parsed
    this.#values = parsed.values
    this.#runtime = runtime
    this.#output = output
    this.#lifecycle = runtime.lifecycle
    this.#slot = openSlot(this.#values, this.#lifecycle)
  }

  async run(): Promise<number> {
    const oneShot = isOneShot(this.#parsed)
    const wish = this.#wish()
    const dirs = modelsDirs(this.#runtime.root, this.#values.modelsDir)
    const { signal } = this.#lifecycle
    donorDefaults(this.#values, this.#values.model ?? EMBEDDED_MODEL)
    const reading = { signal, onWait: (sentence: string) => this.#output.progress(sentence) }
    const chosen = await chooseDonorModel(wish, dirs, [], EMBEDDED_MODEL, reading)
    checkDonorFits(this.#values, chosen.repo, chosen.config.numHiddenLayers)
    const relay = await this.#startRelay(chosen, dirs, oneShot)
    const offer = chosen.offer ?? this.#localOffer((await relay.appConfig()).models, chosen, dirs)
    if (this.#values.tabs === 0) return this.#runWithoutTabs(relay, offer)
    const place = {
      ...offer,
      hubUrl: new URL(offer.hubUrl, relay.pageUrl).href,
      isMirror: offer.hubUrl.startsWith('/'),
    }
    const source = await openPlace(place, wish, reading)
    const model = await loadPromptModel(source, this.#runtime.workerFile)
    this.#lifecycle.onClose('tokenizer', () => model.tokenizer?.dispose())
    const question = this.#question(oneShot, model.tokenizer !== null)
    const prepared = await prepareQuestion(model, question, this.#output)
    const swarm = await openSwarmTabs({
      values: this.#values,
      port: relay.port,
      config: chosen.config,
      token: chosen.needsToken ? wish.token : null,
      slot: this.#slot,
      lifecycle: this.#lifecycle,
      output: this.#output,
    })
    const node = await startRequestingNode({
      relays: relay.addresses,
      iceServers: (await relay.appConfig()).iceServers,
      modelDigest: model.id.digest,
      directory: this.#values.directory === 'off' ? 'off' : 'on',
      verbose: this.#values.verbose,
      log: (line) => this.#output.progress(line),
    })
    this.#lifecycle.onClose('client', () => node.stop())
    const statuses = await swarm.serving()
    const end = await ask(node, model, prepared, question, this.#askOutput(oneShot), signal)
    if (end.error !== undefined) this.#output.progress(errorSentence(end.error))
    if (oneShot || end.finish === 'error' || end.finish === 'cancel') return exitCodeOf(end)
    showAnswer(end, this.#output)
    showSwarm({ relay, offer: { ...offer, revision: source.revision }, statuses, output: this.#output })
    return this.#keepRunning(swarm)
  }

  #wish(): ModelWish {
    const { model, revision, hubUrl } = this.#values
    return { model, revision, hubUrl, hubUrlGiven: this.#parsed.given.has('hubUrl'), token: findHubToken() }
  }

  async #startRelay(chosen: ChosenModel, dirs: readonly string[], oneShot: boolean) {
    const values = this.#values
    const port = values.port ?? (oneShot ? 0 : DEFAULT_PORT)
    // Nobody else is meant to join a swarm that lives for one answer.
    const host = oneShot && !this.#parsed.given.has('host') ? '127.0.0.1' : values.host
    const config = makeRelayConfig(
      { ...values, port, host, keyFile: values.keyFile ?? this.#slot.relayKeyFile, modelsDir: dirs },
      {
        dataDir: dataDir(values.dataDir),
        webRoot: this.#runtime.webRoot,
        donor: donorDefaults(values, chosen.repo),
        offers: chosen.offer === null ? [] : [chosen.offer],
      },
    )
    const log = relayLog(values.logFormat, (line) => this.#output.progress(line))
    // The line of addresses is shown with the rest, when everything is up.
    const relay = await startRelay(config, { ...log, print: () => undefined })
    this.#lifecycle.onClose('relay', () => relay.stop({ announce: false }))
    this.#lifecycle.signal.throwIfAborted()
    return relay
  }

  #localOffer(offers: readonly ModelOffer[], chosen: ChosenModel, dirs: readonly string[]): ModelOffer {
    const offer = offers.find((model) => model.repo === chosen.repo)
    if (offer !== undefined) return offer
    throw new SwarmError(
      'UNKNOWN_MODEL',
      `Model ${chosen.repo} in ${dirs.join(', ')} has no config.json that can be served`,
      {
        action: isLocalModel(dirs, chosen.repo) ? 'Look at the messages above for the reason.' : 'Correct --model.',
      },
    )
  }

  async #runWithoutTabs(relay: Awaited<ReturnType<typeof startRelay>>, offer: ModelOffer): Promise<number> {
    showSwarm({ relay, offer, statuses: [], output: this.#output })
    await this.#lifecycle.untilInterrupted()
    return 0
  }

  #question(oneShot: boolean, hasTokenizer: boolean) {
    if (oneShot) return this.#values
    const greeting = { ...this.#values, temperature: 0, maxTokens: GREETING_TOKENS, json: false }
    // A model without a tokenizer reads token ids only.
    return hasTokenizer ? { ...greeting, prompt: GREETING } : { ...greeting, promptIds: '0,1,2' }
  }

  /** The greeting's answer is shown whole when it is there; a one-shot answer streams. */
  #askOutput(oneShot: boolean): Output {
    return oneShot ? this.#output : { ...this.#output, answer: () => undefined }
  }

  async #keepRunning(swarm: Awaited<ReturnType<typeof openSwarmTabs>>): Promise<number> {
    const interrupted = this.#lifecycle.untilInterrupted().then(() => null)
    const ended = await Promise.race([interrupted, swarm.firstEnd()])
    if (ended === null) return 0
    this.#output.progress(`Tab ${ended.index}: ${errorSentence(ended.error)}`)
    await this.#lifecycle.untilInterrupted()
    return 0
  }
}

function showAnswer(end: EndEvent, output: Output): void {
  const speed = end.timings.tokensPerSecond
  const rate = Number.isFinite(speed) && speed > 0 ? `, ${speed.toFixed(1)} tokens/s` : ''
  const text = end.text === '' ? end.ids.join(' ') : end.text
  output.line('')
  output.line(`  ${GREETING}`)
  output.line(`  → ${text.trim().replaceAll('\n', '\n    ')}`)
  output.line(`  (${end.ids.length} tokens over ${end.route.length} tabs${rate})`)
}

/** @throws SwarmError BAD_OPTION for combinations that cannot be meant */
function checkOneShot(parsed: StartParsed): void {
  const { values } = parsed
  if (values.prompt !== undefined && values.promptIds !== undefined) {
    throw new SwarmError('BAD_OPTION', '--prompt and --prompt-ids were both given', { action: 'Give one of them.' })
  }
  if (isOneShot(parsed) && values.tabs === 0) {
    throw new SwarmError('BAD_OPTION', '--prompt needs tabs that answer, and --tabs is 0', {
      action: 'Leave out --tabs, or ask a running swarm with tabswarm prompt.',
    })
  }
  if (values.json && !isOneShot(parsed)) {
    throw new SwarmError('BAD_OPTION', '--json shows an answer, and there is no --prompt', {
      action: 'Add --prompt TEXT.',
    })
  }
}
