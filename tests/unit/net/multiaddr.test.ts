import { expect, test } from 'vitest'
import { parseInitialPeers } from '../../../net/multiaddr.ts'

const ID = '12D3KooWGRUVh7TUkf9kbHaeVvHbzKZSbBLCKPVhGXPvb1pJMkEn'
const OTHER = '12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA'

test.each([
  ['', []],
  [`/ip4/1.2.3.4/tcp/80/ws/p2p/${ID}`, [`/ip4/1.2.3.4/tcp/80/ws/p2p/${ID}`]],
  [`/ip4/1.2.3.4/tcp/80/p2p/${ID}`, [`/ip4/1.2.3.4/tcp/80/ws/p2p/${ID}`]],
  [`/dns4/relay.example/tcp/443/tls/ws/p2p/${ID}`, [`/dns4/relay.example/tcp/443/tls/ws/p2p/${ID}`]],
  [`/ip6/::1/tcp/80/ws/p2p/${ID}`, [`/ip6/::1/tcp/80/ws/p2p/${ID}`]],
  [
    `/ip4/1.2.3.4/tcp/80/p2p/${ID}, /ip4/1.2.3.4/tcp/81/p2p/${OTHER}`,
    [`/ip4/1.2.3.4/tcp/80/ws/p2p/${ID}`, `/ip4/1.2.3.4/tcp/81/ws/p2p/${OTHER}`],
  ],
  // The line that a relay prints, pasted as it stands.
  [`['/ip4/1.2.3.4/tcp/80/ws/p2p/${ID}', '/ip4/1.2.3.4/tcp/80/p2p/${ID}']`, [`/ip4/1.2.3.4/tcp/80/ws/p2p/${ID}`]],
])('%s', (text, expected) => {
  expect(parseInitialPeers(text)).toEqual(expected)
})

test.each([
  ['no slash', 'http://relay.example', 'does not start with'],
  ['no peer id', '/ip4/1.2.3.4/tcp/80/ws', '/p2p/'],
  ['a peer id that is none', '/ip4/1.2.3.4/tcp/80/ws/p2p/hello', ''],
  ['a wrong address', `/ip4/1.2.3.400/tcp/80/ws/p2p/${ID}`, ''],
  ['udp', `/ip4/1.2.3.4/udp/80/quic-v1/p2p/${ID}`, 'over tcp'],
  ['port zero', `/ip4/1.2.3.4/tcp/0/ws/p2p/${ID}`, 'port 0'],
  ['a circuit', `/ip4/1.2.3.4/tcp/80/ws/p2p/${ID}/p2p-circuit/p2p/${OTHER}`, 'through a relay'],
  ['no host', `/p2p/${ID}`, 'address or name'],
  ['seventeen addresses', Array.from({ length: 17 }, (_, i) => `/ip4/1.2.3.4/tcp/${i + 1}/p2p/${ID}`).join(','), '17'],
  ['a very long one', `/dns4/${'a'.repeat(300)}/tcp/80/ws/p2p/${ID}`, 'characters long'],
])('refuses %s with the reason', (_name, text, reason) => {
  let error: unknown
  try {
    parseInitialPeers(text)
  } catch (thrown) {
    error = thrown
  }
  expect(error).toMatchObject({ code: 'BAD_MULTIADDR', message: expect.stringContaining(reason) })
  expect((error as { action?: string }).action).toContain('/tcp/')
})
