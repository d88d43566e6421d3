/**
 * Round trip of a small message over a circuit: a delayed ACK (40 ms on a leg) would show here. A benchmark and not a test,
 * because a busy machine gives the same figures.
 */
import { byteStream } from '@libp2p/utils'
import { multiaddr } from '@multiformats/multiaddr'
import { expect, it } from 'vitest'
import { clientForTest, dial, relayForTest, reserved } from '../integration/relay/support.ts'

const ROUNDS = 100

it('1 KiB there and back over a circuit', async () => {
  const relay = await relayForTest()
  const target = await clientForTest({ reserve: true })
  await reserved(target, relay)
  await target.libp2p.handle(
    '/echo/1',
    (stream) => stream.addEventListener('message', (event) => void stream.send(event.data)),
    { runOnLimitedConnection: true },
  )
  const source = await clientForTest()
  await dial(source, relay)
  const address = multiaddr(`${relay.addresses[0] ?? ''}/p2p-circuit/p2p/${target.peerId}`)
  const connection = await source.libp2p.dial(address)
  const bytes = byteStream(await connection.newStream('/echo/1', { runOnLimitedConnection: true }))
  const times: number[] = []
  for (let i = 0; i < ROUNDS; i += 1) {
    const before = performance.now()
    await bytes.write(new Uint8Array(1024))
    await bytes.read({ bytes: 1024 })
    times.push(performance.now() - before)
  }
  times.sort((a, b) => a - b)
  const at = (share: number) => (times[Math.floor(share * (ROUNDS - 1))] ?? 0).toFixed(1)
  console.log(
    `relay: 1 KiB round trip over a circuit p50 ${at(0.5)} ms, p90 ${at(0.9)} ms (with delayed ACKs: above 50)`,
  )
  expect(times.length).toBe(ROUNDS)
})
