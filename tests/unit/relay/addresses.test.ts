import { multiaddr } from '@multiformats/multiaddr'
import { describe, expect, it } from 'vitest'
import { parseInitialPeers } from '../../../net/multiaddr.ts'
import {
  countedAddress,
  isLoopbackAddress,
  listenMultiaddr,
  pageUrlOf,
  relayAddresses,
  visibleAddressesLine,
} from '../../../relay/addresses.ts'

const peerId = '12D3KooWKnDdG3iXw9eTFijk3EWSunZcFi54Zka4wmtqtt6rPxc8'

it('announces the public address alone, under the public port', () => {
  const options = { host: '0.0.0.0', port: 8002, peerId, publicIps: ['119.59.0.14'] }
  expect(relayAddresses({ ...options, publicPort: 22452 })).toEqual([`/ip4/119.59.0.14/tcp/22452/ws/p2p/${peerId}`])
  expect(relayAddresses(options)).toEqual([`/ip4/119.59.0.14/tcp/8002/ws/p2p/${peerId}`])
  expect(relayAddresses({ ...options, publicIps: ['swarm.example.org'] })).toEqual([
    `/dns4/swarm.example.org/tcp/8002/ws/p2p/${peerId}`,
  ])
})

it('lists loopback first without a public address, and IPv6 as such', () => {
  expect(relayAddresses({ host: '0.0.0.0', port: 1, peerId })[0]).toBe(`/ip4/127.0.0.1/tcp/1/ws/p2p/${peerId}`)
  expect(relayAddresses({ host: '::1', port: 1, peerId })).toEqual([`/ip6/::1/tcp/1/ws/p2p/${peerId}`])
  for (const host of ['0.0.0.0', '127.0.0.1', '::', '::1', 'localhost']) {
    expect(() => multiaddr(listenMultiaddr(host, 80)), host).not.toThrow()
  }
})

it('prints addresses that can be pasted back whole, as the original does', () => {
  const addresses = relayAddresses({ host: '127.0.0.1', port: 8002, peerId })
  const line = visibleAddressesLine([...addresses, ...addresses.map((a) => a.replace('8002', '8004'))])
  expect(line).toMatch(/^DHT visible multiaddrs \(use for --dht_initial_peers\): \['\/ip4\/[^']+', '\/ip4\/[^']+'\]$/u)
  expect(parseInitialPeers(line.slice(line.indexOf('[')))).toHaveLength(2)
})

it.each([
  ['127.0.0.1', null],
  ['::1', null],
  ['::ffff:127.0.0.1', null],
  ['203.0.113.9', '203.0.113.9'],
  ['::ffff:203.0.113.9', '203.0.113.9'],
  ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
  ['2001:0DB8:1:2::6', '2001:db8:1:2::/64'],
  ['2001:db8::6', '2001:db8:0:0::/64'],
  ['fe80::1%eth0', 'fe80:0:0:0::/64'],
])('counts %s as %s', (address, counted) => {
  expect(countedAddress(address)).toBe(counted)
  expect(isLoopbackAddress(address)).toBe(counted === null)
})

describe('https', () => {
  const base = { host: '0.0.0.0', port: 8443, peerId }

  it('announces the names of a certificate, and addresses beside them', () => {
    expect(
      relayAddresses({
        ...base,
        https: 'here',
        secureHosts: ['relay.example'],
        publicIps: ['203.0.113.7', '2001:db8::7'],
      }),
    ).toEqual([
      `/dns4/relay.example/tcp/8443/tls/ws/p2p/${peerId}`,
      `/ip4/203.0.113.7/tcp/8443/tls/ws/p2p/${peerId}`,
      `/ip6/2001:db8::7/tcp/8443/tls/ws/p2p/${peerId}`,
    ])
  })

  it('behind a proxy the port is the proxy’s', () => {
    const proxied = { ...base, https: 'proxy', secureHosts: ['relay.example'] } as const
    expect(relayAddresses(proxied)).toEqual([`/dns4/relay.example/tcp/443/tls/ws/p2p/${peerId}`])
    expect(relayAddresses({ ...proxied, publicPort: 9443 })[0]).toContain('/tcp/9443/tls/ws/')
  })

  it('names are not announced without https: no browser could use them', () => {
    const addresses = relayAddresses({ ...base, secureHosts: ['relay.example'], publicIps: ['203.0.113.7'] })
    expect(addresses).toEqual([`/ip4/203.0.113.7/tcp/8443/ws/p2p/${peerId}`])
  })

  it.each([
    ['/dns4/relay.example/tcp/443/tls/ws/p2p/X', 'https://relay.example/'],
    ['/ip6/2001:db8::7/tcp/8443/tls/ws/p2p/X', 'https://[2001:db8::7]:8443/'],
    ['/ip4/203.0.113.7/tcp/8080/ws/p2p/X', 'http://203.0.113.7:8080/'],
  ])('%s is opened as %s', (address, url) => {
    expect(pageUrlOf(address)).toBe(url)
  })
})
