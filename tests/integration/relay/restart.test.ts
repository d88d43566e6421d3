/**
 * A relay that is restarted tells how long, and what was connected through it goes on; a tab whose only relay died is
 * reached again when it has come to another one that it was told of.
 */
import { expect, it } from 'vitest'
import { tellRelayNews } from '../../../net/relay-news.ts'
import { startTcpForward } from '../../support/tcp-forward.ts'
import { freePort } from '../../support/swarm.ts'
import { openSession } from '../net/session.ts'
import { startClient, startDonor, until } from '../net/support.ts'
import { atEnd, relayForTest } from './support.ts'

const WHOLE = { start: 0, end: 9 }

it('says when it is back; nobody is taken for lost meanwhile, and all come back by themselves', async () => {
  const relay = await relayForTest({ restartAfter: 3 })
  const donor = await startDonor(relay.addresses, WHOLE)
  atEnd(() => donor.node.stop())
  const client = await startClient(relay.addresses)
  atEnd(() => client.stop())
  const [told, losses]: [string[], string[]] = [[], []]
  atEnd(async () => stopTelling())
  const stopTelling = tellRelayNews(client, (text) => told.push(text))
  client.onPeerLost((peerId) => losses.push(peerId))
  await until('listed', () => (client.directory.get(donor.node.peerId)?.relays.length ?? 0) > 0)
  const session = await openSession(client, [{ peerId: donor.node.peerId, span: WHOLE }])
  expect(await session.token(1)).toBe(37)

  await relay.stop()
  await until('told', () => told.length === 1)
  expect(told[0]).toMatch(/^The relay restarts and says it is back in about 3 s\. /u)
  expect(client.relays()).toMatchObject([{ state: 'restarting', backAfterMs: 3_000 }])
  for (let id = 2; id < 20; id += 1) expect(await session.token(id)).toBe(36 + id)
  // Also what has no session is believed to be there.
  expect(client.directory.get(donor.node.peerId)).toBeDefined()

  const again = await relayForTest({ port: relay.port, dataDir: relay.dataDir })
  expect(again.peerId).toBe(relay.peerId)
  await until('back', () => client.relays()[0]?.state === 'connected')
  expect(told.slice(1)).toEqual(['The relay is back.'])
  const late = await startClient(again.addresses)
  atEnd(() => late.stop())
  await until('listed for who comes later', () => (late.directory.get(donor.node.peerId)?.relays.length ?? 0) > 0)
  expect(losses).toEqual([])
  expect(await session.token(20)).toBe(56)
}, 60_000)

it('one that does not say when it is back is told so', async () => {
  const relay = await relayForTest({ restartAfter: 0 })
  const client = await startClient(relay.addresses)
  atEnd(() => client.stop())
  const told: string[] = []
  const stopTelling = tellRelayNews(client, (text) => told.push(text))
  atEnd(async () => stopTelling())
  await until('connected', () => client.relays()[0]?.state === 'connected')
  await relay.stop()
  await until('told', () => told.length > 0)
  expect(told[0]).toMatch(/^The relay stops and does not say when it is back\. /u)
})

it('a tab whose only relay died is reached through another one of its list, at once after it came there', async () => {
  const first = await relayForTest()
  // The tab cannot get to the second relay at first, so that its record names the first alone: the wire is the only address
  // of the second that anybody is told.
  const port = await freePort()
  const wire = await startTcpForward({ toPort: port })
  atEnd(() => wire.stop())
  wire.cut()
  const second = await relayForTest({
    port,
    publicIp: ['127.0.0.1'],
    publicPort: wire.port,
    dhtInitialPeers: first.addresses.join(','),
  })
  const ofSecond = second.addresses[0] ?? ''
  const donor = await startDonor([first.addresses[0] ?? '', ofSecond], WHOLE)
  atEnd(() => donor.node.stop())
  const client = await startClient([ofSecond.replace(`/tcp/${wire.port}/`, `/tcp/${port}/`)])
  atEnd(() => client.stop())
  const relaysOf = (): readonly string[] => client.directory.get(donor.node.peerId)?.relays ?? []
  await until('listed by the link of the relays', () => relaysOf().length === 1)
  expect(relaysOf()[0]).toContain(first.peerId)

  await first.stop({ announce: false })
  await expect(client.openInference(donor.node.peerId, AbortSignal.timeout(30_000))).rejects.toMatchObject({
    code: 'DIAL_FAILED',
  })
  wire.mend()
  await until('named by its record', () => relaysOf().some((address) => address.includes(second.peerId)))
  const session = await openSession(client, [{ peerId: donor.node.peerId, span: WHOLE }])
  expect(await session.token(1)).toBe(37)
  await session.close()
}, 60_000)
