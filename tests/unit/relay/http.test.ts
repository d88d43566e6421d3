import fc from 'fast-check'
import { expect, it } from 'vitest'
import { securityHeaders } from '../../../relay/http/headers.ts'
import { hostName, isAllowedHost, isLoopbackHost } from '../../../relay/http/host.ts'
import { parseRange } from '../../../relay/http/range.ts'

it('parses a range to bytes that exist, or refuses it', () => {
  fc.assert(
    fc.property(fc.string({ maxLength: 30 }), fc.nat(10_000), (text, size) => {
      const answer = parseRange(text, size)
      if (answer.status !== 206) return
      expect(answer.begin).toBeGreaterThanOrEqual(0)
      expect(answer.begin).toBeLessThan(answer.end)
      expect(answer.end).toBeLessThanOrEqual(size)
    }),
  )
  fc.assert(
    fc.property(fc.nat(1_000), fc.nat(1_000), fc.integer({ min: 1, max: 1_000 }), (first, last, size) => {
      const answer = parseRange(`bytes=${first}-${last}`, size)
      if (last < first) expect(answer).toEqual({ status: 200 })
      else if (first >= size) expect(answer).toEqual({ status: 416 })
      else expect(answer).toEqual({ status: 206, begin: first, end: Math.min(last + 1, size) })
    }),
  )
  expect(parseRange('bytes=99999999999999999999-', 10)).toEqual({ status: 416 })
  expect(parseRange('bytes=0-', 0)).toEqual({ status: 416 })
  expect(parseRange(undefined, 5)).toEqual({ status: 200 })
})

it.each([
  ['localhost', true],
  ['localhost.', true],
  ['a.b.localhost:80', true],
  ['127.0.0.1:8080', true],
  ['127.9.9.9', true],
  ['[::1]:8080', true],
  ['[::ffff:127.0.0.1]', true],
  ['192.168.0.4:1', false],
  ['localhost.example.org', false],
  ['', false],
  [undefined, false],
])('host %s is loopback: %s', (host, expected) => {
  expect(isLoopbackHost(host)).toBe(expected)
})

it('takes no host apart that is none', () => {
  for (const host of ['a b', 'x:y', 'a/b', '[::1', 'user@host', 'a'.repeat(300)]) {
    expect(hostName(host), host).toBeNull()
    expect(isAllowedHost(host, [host]), host).toBe(false)
  }
  expect(isAllowedHost('[2001:db8::1]:443', [])).toBe(true)
  expect(isAllowedHost('swarm.example.org', ['Swarm.Example.org'])).toBe(true)
  expect(isAllowedHost('example.org', ['swarm.example.org'])).toBe(false)
})

it('lets a page from this machine speak plain WebSockets to anybody, another page only to its own relay', () => {
  const connect = (host: string) => {
    const csp = securityHeaders({
      host,
      isSecure: false,
      hubUrls: ['https://huggingface.co', '/hub'],
      hubCdnOrigins: [],
    })['content-security-policy']
    return csp?.split('; ').find((part) => part.startsWith('connect-src')) ?? ''
  }
  expect(connect('127.0.0.1:8080').split(' ')).toContain('ws:')
  expect(connect('tabswarm.localhost').split(' ')).toContain('ws:')
  expect(connect('swarm.example.org').split(' ')).not.toContain('ws:')
  expect(connect('192.168.0.4:8080').split(' ')).toContain('ws://192.168.0.4:8080')
  expect(connect('127.0.0.1:8080')).not.toContain('http://127.0.0.1:*')
})
