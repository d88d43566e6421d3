import { expect, it } from 'vitest'
import { makeRelayConfig } from '../../../relay/config.ts'
import { DEFAULT_RELAY_LIMITS } from '../../../relay/limits.ts'
import { relayOptions, type RelayOption, type RelayOptionValues } from '../../../relay/options.ts'

const extras = { dataDir: '/data', webRoot: null }
const peer = '12D3KooWKnDdG3iXw9eTFijk3EWSunZcFi54Zka4wmtqtt6rPxc8'

it('has defaults that are the limits of the design, each allowed by its own check', () => {
  const config = makeRelayConfig({}, extras)
  expect(config.limits).toEqual(DEFAULT_RELAY_LIMITS)
  expect(DEFAULT_RELAY_LIMITS).toMatchObject({
    maxConnections: 1_000,
    maxPendingConnections: 200,
    maxJoinsPerSecond: 50,
    maxReservations: 500,
    maxReservationsPerAddress: 64,
    reservationTtlMs: 600_000,
    circuitDurationMs: 86_400_000,
    circuitBytes: 67_108_864,
    maxCircuitsPerPeer: 64,
    maxRecordsPerAddress: 32,
    egressBytesPerDay: 50e9,
    signallingDurationMs: 120_000,
    signallingBytes: 131_072,
    maxRecordBytes: 2_048,
    recordTtlMs: 90_000,
    http: { maxBodyBytes: 65_536, headerTimeoutMs: 10_000, idleTimeoutMs: 60_000 },
  })
  expect(config).toMatchObject({
    port: 8080,
    host: '0.0.0.0',
    keyFile: '/data/relay-key',
    directory: 'on',
    metrics: 'loopback',
  })
})

it('takes the original’s flags', () => {
  const config = makeRelayConfig(
    {
      port: 8002,
      rpcPort: 8003,
      publicIp: ['119.59.0.14'],
      publicPort: 22452,
      publicRpcPort: 50192,
      dhtInitialPeers: `/ip4/119.59.0.14/tcp/22452/p2p/${peer}`,
    },
    extras,
  )
  expect(config).toMatchObject({ port: 8002, publicIps: ['119.59.0.14'], publicPort: 22452 })
  expect(config.initialPeers).toEqual([`/ip4/119.59.0.14/tcp/22452/ws/p2p/${peer}`])
  expect(relayOptions.port.aliases).toEqual(['dht-port'])
  expect(relayOptions.publicPort.aliases).toEqual(['public-dht-port'])
  expect(relayOptions.rpcPort.ignored).toContain('one port')
})

const refused: [Partial<RelayOptionValues>, string][] = [
  [{ port: -1 }, '--port'],
  [{ port: 65_536 }, '--port'],
  [{ port: 1.5 }, '--port'],
  [{ publicPort: 22452 }, '--public-port'],
  [{ publicIp: ['1.2.3.4'], publicPort: 0 }, '--public-port'],
  [{ publicIp: ['not an address'] }, '--public-ip'],
  [{ host: '1.2.3.4:80' }, '--host'],
  [{ hubUrl: 'huggingface.co' }, '--hub-url'],
  [{ directory: 'maybe' }, '--directory'],
  [{ logFormat: 'xml' }, '--log-format'],
  [{ metrics: 'everyone' }, '--metrics'],
  [{ trustProxy: ['proxy'] }, '--trust-proxy'],
  [{ tlsCert: 'cert.pem' }, '--tls-cert'],
  [{ tlsKey: 'key.pem' }, '--tls-key'],
  [{ behindProxy: true }, '--behind-proxy'],
  [{ behindProxy: true, publicHost: ['relay.example'], tlsCert: 'a', tlsKey: 'b' }, '--behind-proxy'],
  [{ publicHost: ['no name'] }, '--public-host'],
  [{ publicHost: ['relay.example'], publicPort: 443 }, '--public-port'],
  [{ maxConnections: 0 }, '--max-connections'],
  [{ maxReservations: -5 }, '--max-reservations'],
  [{ circuitDuration: 3_000_000 }, '--circuit-duration'],
  [{ reservationTtl: 0.5 }, '--reservation-ttl'],
]
it.each(refused)('refuses %o and names the flag', (values, flag) => {
  expect(() => makeRelayConfig(values, extras)).toThrow(
    expect.objectContaining({ code: 'BAD_OPTION', message: expect.stringContaining(flag) as string }),
  )
})

it('refuses wrong initial peers with the reason', () => {
  expect(() => makeRelayConfig({ dhtInitialPeers: '/ip4/1.2.3.4/udp/1' }, extras)).toThrow(
    expect.objectContaining({ code: 'BAD_MULTIADDR' }),
  )
})

it('explains every option', () => {
  for (const [name, option] of Object.entries(relayOptions) as [string, RelayOption<unknown>][]) {
    expect(option.help, name).toMatch(/^[A-Z].*\.$/u)
    expect(name).toMatch(/^[a-z][A-Za-z]*$/u)
  }
})
