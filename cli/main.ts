/**
 * The command line's entry, called by `tabswarm.mjs` when everything is installed and built: picks the subcommand, reads
 * its options, runs it, and turns failures into one sentence. Nothing here knows what a subcommand does.
 */
import '../net/compat.ts'
import { setMaxListeners } from 'node:events'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describeError, errorSentence, SwarmError } from '../swarm/errors.ts'
import type { AnyCommand, Runtime } from './commands/command.ts'
import { EXIT_INTERRUPTED, Lifecycle } from './lifecycle.ts'
import { formatConfig, formatHelp } from './options/help.ts'
import { nearestName } from './options/nearest.ts'
import { parseOptions } from './options/parse.ts'
import { consoleOutput } from './output/console.ts'

const EXIT_FAILED = 1
const EXIT_USAGE = 2

/** Loaded when asked for: `prompt` does not pay for Playwright, nor `--help` for libp2p. */
const COMMANDS: Record<string, { summary: string; load: () => Promise<AnyCommand> }> = {
  start: {
    summary: 'relay, page and four donor tabs on this machine; asks the model one question',
    load: async () => (await import('./commands/start.ts')).startCommand,
  },
  relay: {
    summary: 'the relay with the page, for a machine that others reach; needs no browser',
    load: async () => (await import('./commands/relay.ts')).relayCommand,
  },
  donate: {
    summary: 'a donor tab without a window, which joins a swarm and serves blocks',
    load: async () => (await import('./commands/donate.ts')).donateCommand,
  },
  prompt: {
    summary: 'asks the swarm from the command line; needs no browser',
    load: async () => (await import('./commands/prompt.ts')).promptCommand,
  },
  probe: {
    summary: 'checks a relay from here, each check with a sentence and what to do',
    load: async () => (await import('./commands/probe.ts')).probeCommand,
  },
  simulate: {
    summary: 'runs the planner over a swarm in a file or a scenario, under a virtual clock',
    load: async () => (await import('./commands/simulate.ts')).simulateCommand,
  },
  dev: {
    summary: 'relay and page with reload, for work on the page',
    load: async () => (await import('./commands/dev.ts')).devCommand,
  },
}

/** `root`: the project's folder. Ends the process. */
export async function main(args: readonly string[], root: string): Promise<void> {
  // libp2p listens to the signal of a dial at each of its dozens of steps. Above ten Node takes that for a leak and says so
  // on standard error, in the middle of an answer.
  setMaxListeners(100)
  process.once('beforeExit', reportStall)
  process.exitCode = await run(args, root)
  // Libraries may keep timers and sockets; everything of ours is closed by now.
  process.exit()
}

/**
 * The event loop is empty while the command still waits: Node would end with 0 and no word. That is a bug of ours, said
 * as one, because a server that vanishes silently is the worst kind.
 */
function reportStall(): void {
  console.error('The command stopped while it was waiting for something that can no longer come. Please report this.')
  process.exit(EXIT_FAILED)
}

async function run(args: readonly string[], root: string): Promise<number> {
  const [name, ...rest] = args
  const version = (JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string }).version
  if (name === undefined || name === '--help' || name === '-h' || name === 'help') {
    console.log(overview(version))
    return name === undefined ? EXIT_USAGE : 0
  }
  if (name === '--version' || name === '-v') {
    console.log(version)
    return 0
  }
  const entry = COMMANDS[name]
  if (entry === undefined) {
    const near = nearestName(name, Object.keys(COMMANDS))
    const hint = near === null ? 'See tabswarm --help.' : `Did you mean ${near}?`
    console.error(`There is no command "${name}". ${hint}`)
    return EXIT_USAGE
  }
  const lifecycle = new Lifecycle((text) => console.error(text))
  lifecycle.listenToSignals()
  const runtime: Runtime = {
    root,
    webRoot: join(root, 'dist', 'web'),
    workerFile: join(root, 'dist', 'node', 'text-worker.js'),
    lifecycle,
    version,
  }
  try {
    return await runCommand(await entry.load(), rest, runtime)
  } catch (error) {
    return failureCode(error, lifecycle)
  } finally {
    await lifecycle.close()
  }
}

async function runCommand(command: AnyCommand, args: readonly string[], runtime: Runtime): Promise<number> {
  const parsed = parseOptions(command.options, args)
  if (parsed.help) {
    console.log(formatHelp(command.text, command.options))
    return 0
  }
  if (parsed.printConfig) {
    console.log(formatConfig(command.options, parsed))
    return 0
  }
  const output = consoleOutput(command.linesTo(parsed))
  for (const [name, source] of parsed.sources) {
    const ignored = command.options[name]?.ignored
    if (ignored !== undefined) output.progress(`${source} is accepted and means nothing here: ${ignored}.`)
  }
  const { ca } = parsed.values as { ca?: unknown }
  if (typeof ca === 'string') (await import('./trust/authority.ts')).trustAuthority(ca)
  return command.run(parsed, runtime, output)
}

/** Usage errors end with 2, as is the custom; an interrupt says nothing. */
function failureCode(error: unknown, lifecycle: Lifecycle): number {
  if (lifecycle.interrupted) return EXIT_INTERRUPTED
  if (error instanceof SwarmError) {
    console.error(errorSentence(error))
    return error.code === 'BAD_OPTION' || error.code === 'BAD_MULTIADDR' ? EXIT_USAGE : EXIT_FAILED
  }
  // A bug of ours: the stack is what a report needs.
  console.error(error instanceof Error ? error.stack : describeError(error))
  return EXIT_FAILED
}

function overview(version: string): string {
  return [
    `tabswarm ${version}: browser tabs that lend their GPUs to run one Llama model together.`,
    '',
    'Usage: tabswarm COMMAND [options]',
    '',
    'Commands:',
    ...Object.entries(COMMANDS).map(([name, { summary }]) => `  ${name.padEnd(8)} ${summary}`),
    '',
    'tabswarm COMMAND --help lists the options of a command.',
  ].join('\n')
}

/** For the test runner: the browser that tests use, installed when there is none. @throws SwarmError NO_BROWSER */
export async function ensureBrowser(): Promise<string> {
  const { ensureBrowsers } = await import('./browser/install.ts')
  const browsers = await ensureBrowsers({
    named: process.env['TABSWARM_CHROMIUM'],
    install: 'auto',
    signal: new AbortController().signal,
    progress: (text) => console.error(text),
  })
  return browsers[0]?.path ?? ''
}
