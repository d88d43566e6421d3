import { expect, it } from 'vitest'
import { isAddressOrNetwork, remoteOf, TrustedProxies } from '../../../relay/forwarded.ts'

const proxies = new TrustedProxies(['127.0.0.1', '10.0.0.0/8', '2001:db8::/32'])

function remote(socketAddress: string, forwarded?: string): string {
  const req = {
    socket: { remoteAddress: socketAddress, remotePort: 4711 },
    headers: forwarded === undefined ? {} : { 'x-forwarded-for': forwarded },
  }
  return remoteOf(req as never, proxies).address
}

it.each([
  ['no proxy: the socket’s', '203.0.113.1', undefined, '203.0.113.1'],
  ['a header from somebody who is no proxy is not believed', '203.0.113.1', '198.51.100.1', '203.0.113.1'],
  ['a proxy says who it saw', '127.0.0.1', '198.51.100.1', '198.51.100.1'],
  ['what the visitor wrote himself stands left of it', '127.0.0.1', '192.0.2.9, 198.51.100.1', '198.51.100.1'],
  ['a chain of proxies', '127.0.0.1', '192.0.2.9, 198.51.100.1, 10.1.2.3', '198.51.100.1'],
  ['in IPv6, mapped', '::ffff:127.0.0.1', '2001:db8:1::5, 2a00::7', '2a00::7'],
  ['nonsense ends what can be believed', '127.0.0.1', '198.51.100.1, <script>', '127.0.0.1'],
  ['with a port', '127.0.0.1', '198.51.100.1:4711', '198.51.100.1'],
  ['with a port, IPv6', '127.0.0.1', '[2a00::7]:4711', '2a00::7'],
  ['nothing said', '127.0.0.1', '', '127.0.0.1'],
  ['only proxies', '127.0.0.1', '10.0.0.1', '127.0.0.1'],
] as const)('%s', (_, socket, forwarded, expected) => {
  expect(remote(socket, forwarded)).toBe(expected)
})

it.each([
  ['10.0.0.0/8', true],
  ['10.0.0.1', true],
  ['::1', true],
  ['2001:db8::/32', true],
  ['10.0.0.0/33', false],
  ['2001:db8::/129', false],
  ['proxy', false],
  ['10.0.0.0/', false],
] as const)('%s is an address or a network: %s', (text, expected) => {
  expect(isAddressOrNetwork(text)).toBe(expected)
})
