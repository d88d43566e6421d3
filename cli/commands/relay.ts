/** `tabswarm relay`: the relay with the page, for a machine that others reach. Needs no browser, not even to install. */
import { join } from 'node:path'
import { makeRelayConfig } from '../../relay/config.ts'
import { isLoopbackHost } from '../../relay/http/host.ts'
import { startRelay, STOP_LIMIT_MS } from '../../relay/relay.ts'
import type { Output } from '../output/console.ts'
import { modelsDirs } from '../tabs/model-offer.ts'
import { dataDir } from '../profile/data-dir.ts'
import { refuseWords } from './words.ts'
import { networkOptions } from '../options/network.ts'
import { relayLog } from '../output/relay-log.ts'
import { command } from './command.ts'

export const relayCommand = command<typeof networkOptions>({
  text: {
    name: 'relay',
    summary: 'the relay with the page, for a machine that others reach; needs no browser.',
    examples: [
      'tabswarm relay --port 8080 --public-ip 203.0.113.7',
      'tabswarm relay --port 8081 --dht-initial-peers /ip4/203.0.113.7/tcp/8080/ws/p2p/12D3KooW…',
      'tabswarm relay --models-dir /srv/models --log-format json',
    ],
  },
  options: networkOptions,
  linesTo: () => 'stdout',
  async run({ values, words, sources }, runtime, output) {
    refuseWords('relay', words)
    const { lifecycle } = runtime
    const log = relayLog(values.logFormat, (line) => output.line(line))
    // In the per-user folder each port has an identity of its own, because two relays on one machine are two peers; a
    // folder that was named on the command line is this relay's alone.
    const base = dataDir(values.dataDir)
    const folder = sources.get('dataDir')?.startsWith('-') === true ? base : join(base, `relay-${values.port}`)
    const config = makeRelayConfig(
      { ...values, dataDir: folder, modelsDir: modelsDirs(runtime.root, values.modelsDir) },
      { dataDir: folder, webRoot: runtime.webRoot },
    )
    const relay = await startRelay(config, log)
    lifecycle.onClose('relay', () => relay.stop({ announce: true }), STOP_LIMIT_MS)
    tellPage(relay.publicPageUrl, output)
    await lifecycle.untilInterrupted()
    return 0
  },
})

/** Where the page is for others, and why it will not do there. */
function tellPage(url: string, output: Output): void {
  output.line(`Page: ${url}`)
  const { protocol, host } = new URL(url)
  if (protocol === 'https:' || isLoopbackHost(host)) return
  output.line(
    'Browsers lend a GPU and keep chats only on pages that come by https or from their own machine: for others serve it with --tls-cert and --tls-key, or behind a proxy (docs/hosting.md).',
  )
}
