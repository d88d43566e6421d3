/** `tabswarm dev`: the relay without a built page, and Vite serving the page's sources with reload. For work on the page. */
import { join } from 'node:path'
import { createServer } from 'vite'
import { makeRelayConfig } from '../../relay/config.ts'
import { startRelay } from '../../relay/relay.ts'
import { integer } from '../options/schema.ts'
import { dataDir } from '../profile/data-dir.ts'
import { modelsDirs } from '../tabs/model-offer.ts'
import { networkOptions } from '../options/network.ts'
import { relayLog } from '../output/relay-log.ts'
import { command } from './command.ts'
import { refuseWords } from './words.ts'

const options = {
  ...networkOptions,
  pagePort: integer('port of the page with reload', { default: 5173 }),
}

export const devCommand = command<typeof options>({
  text: {
    name: 'dev',
    summary: 'relay and page with reload, for work on the page.',
    examples: ['npm run dev', 'npm run dev -- --page-port 5174 --port 8081'],
  },
  options,
  linesTo: () => 'stdout',
  async run({ values, words }, runtime, output) {
    refuseWords('dev', words)
    const { lifecycle } = runtime
    const folder = join(dataDir(values.dataDir), 'dev')
    const config = makeRelayConfig(
      { ...values, dataDir: folder, modelsDir: modelsDirs(runtime.root, values.modelsDir) },
      { dataDir: folder, webRoot: null },
    )
    const relay = await startRelay(
      config,
      relayLog(values.logFormat, (line) => output.progress(line)),
    )
    lifecycle.onClose('relay', () => relay.stop({ announce: false }))
    const target = `http://127.0.0.1:${relay.port}`
    const vite = await createServer({
      configFile: join(runtime.root, 'vite.config.ts'),
      root: join(runtime.root, 'web'),
      server: { port: values.pagePort, strictPort: true, proxy: { '/config.json': target, '/hub': target } },
    })
    lifecycle.onClose('page', () => vite.close())
    await vite.listen()
    output.line(`Page with reload: http://localhost:${values.pagePort}/`)
    output.line(`Donate:           http://localhost:${values.pagePort}/?donate`)
    await lifecycle.untilInterrupted()
    return 0
  },
})
