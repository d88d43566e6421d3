/** A graceful stop: a notice first, downloads under way to their end, nothing new, and everything gone afterwards. */
import { cp, mkdir, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { atEnd, clientForTest, DirectoryClient, recordOf, relayForTest, temporaryFolder } from './support.ts'

const FIXTURE = join(import.meta.dirname, '../../fixtures/models/mha-f16')
const BYTES = 48 * 1024 * 1024

it('tells the tabs, finishes a download that is under way, and takes nothing new meanwhile', async () => {
  const dir = await temporaryFolder()
  await mkdir(join(dir, 'tiny'))
  await cp(FIXTURE, join(dir, 'tiny'), { recursive: true })
  await writeFile(join(dir, 'tiny', 'large.bin'), Buffer.alloc(BYTES, 7))
  const relay = await relayForTest({ modelsDir: [dir] })
  const client = await clientForTest()
  const directory = await DirectoryClient.open(client, relay)
  // More than the socket's buffers hold, and not read: the answer stays under way.
  const download = connect(relay.port, '127.0.0.1')
  atEnd(async () => download.destroy())
  await new Promise<void>((resolve) => download.once('connect', resolve))
  download.write('GET /hub/tiny/resolve/main/large.bin HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n')
  await new Promise<void>((resolve) => download.once('readable', resolve))
  let isStopped = false
  const stopped = relay.stop().then(() => (isStopped = true))
  await directory.until((message) => message['type'] === 'restarting')
  await expect(fetch(relay.pageUrl)).rejects.toThrow()
  expect(isStopped).toBe(false)
  let received = 0
  const ended = new Promise<void>((resolve) => download.once('close', () => resolve()))
  download.on('data', (part: Buffer) => (received += part.length))
  await ended
  expect(received).toBeGreaterThan(BYTES)
  await stopped
}, 30_000)

it('says how it does: figures of peers, joins, refusals and of each offered model', async () => {
  const dir = await temporaryFolder()
  await cp(FIXTURE, join(dir, 'tiny'), { recursive: true })
  const relay = await relayForTest({ modelsDir: [dir] })
  const [offer] = (await relay.appConfig()).models
  const blocks = offer?.blocks ?? 0
  const read = async (): Promise<string> => (await fetch(`${relay.pageUrl}metrics`)).text()
  expect(await read()).toContain('tabswarm_relay_model_least_holders{model="tiny"} 0')
  const client = await clientForTest()
  const directory = await DirectoryClient.open(client, relay)
  const model = { repo: 'tiny', revision: 'a'.repeat(40), digest: 'd'.repeat(32), blocks }
  await directory.publish(await recordOf(client, { model, span: { start: 0, end: blocks }, maxBlocks: blocks }))
  const other = await DirectoryClient.open(await clientForTest(), relay)
  await other.channel.send({ type: 'publish', record: 'nonsense' })
  await other.until((message) => message['type'] === 'refused')
  await directory.channel.send({ type: 'ping', id: 1 })
  await directory.until((message) => message['type'] === 'pong')
  const text = await read()
  for (const line of [
    'tabswarm_relay_connections 2',
    'tabswarm_relay_peers{role="donor"} 2',
    'tabswarm_relay_records 1',
    'tabswarm_relay_join_seconds_count 2',
    'tabswarm_relay_refusals_total{reason="record"} 1',
    'tabswarm_relay_model_peers{model="tiny"} 1',
    'tabswarm_relay_model_least_holders{model="tiny"} 1',
    'tabswarm_relay_block_holders{model="tiny",block="0"} 1',
    'tabswarm_relay_reservations{state="held"} 0',
    'tabswarm_relay_reservations{state="free"} 500',
    'tabswarm_relay_circuits{state="quiet"} 0',
    'tabswarm_relay_circuits{state="carrying"} 0',
    'tabswarm_relay_ready 1',
    'tabswarm_relay_hellos_total{version="1.0"} 2',
    'tabswarm_relay_relayed_bytes_total 0',
    'tabswarm_relay_failed_joins_total 0',
    'tabswarm_relay_failed_link_dials_total 0',
  ]) {
    expect(text.split('\n'), line).toContain(line)
  }
  for (const name of ['sent_bytes_total', 'egress_bytes_today', 'resident_bytes', 'event_loop_delay_p99_seconds']) {
    expect(text).toMatch(new RegExp(`^tabswarm_relay_${name} [\\d.e+-]+$`, 'mu'))
  }
  expect(text).not.toContain(client.peerId)
})
