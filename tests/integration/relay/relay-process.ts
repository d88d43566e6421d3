/** A relay in a process of its own, for `process.test.ts`: starts, says where, stops when its input ends. */
import { makeRelayConfig } from '../../../relay/config.ts'
import { createLog } from '../../../relay/log.ts'
import { startRelay } from '../../../relay/relay.ts'

const [dataDir = '', models = ''] = process.argv.slice(2)
const config = makeRelayConfig({ port: 0, host: '127.0.0.1', modelsDir: [models] }, { dataDir, webRoot: null })
const relay = await startRelay(config, createLog('text'))
const { port, peerId, addresses } = relay
process.stdout.write(`started ${JSON.stringify({ port, peerId, addresses })}\n`)
process.stdin.resume()
// No process.exit: whatever is left open keeps the process alive and fails the test.
process.stdin.on('end', () => void relay.stop())
