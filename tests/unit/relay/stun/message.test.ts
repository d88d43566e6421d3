/** The addresses and their encoding are those of RFC 5769's sample responses. */
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { bindingSuccess, readBindingRequest } from '../../../../relay/stun/message.ts'
import { stunUrls } from '../../../../relay/stun/server.ts'

const TRANSACTION = Buffer.from('b7e7a701bc34d686fa87dfae', 'hex')
const COOKIE = Buffer.from('2112a442', 'hex')

function request(attributes = Buffer.alloc(0), type = 0x0001): Buffer {
  const head = Buffer.alloc(4)
  head.writeUInt16BE(type, 0)
  head.writeUInt16BE(attributes.length, 2)
  return Buffer.concat([head, COOKIE, TRANSACTION, attributes])
}

const asked = { transactionId: TRANSACTION, hasFingerprint: false }

it.each([
  ['192.0.2.1', '002000080001a147e112a643'],
  ['2001:db8:1234:5678:11:2233:4455:6677', '002000140002a1470113a9faa5d3f179bc25f4b5bed2b9d9'],
])('answers with the address that it saw, %s', (address, attribute) => {
  const answer = bindingSuccess(asked, address, 32853)
  expect(answer.subarray(0, 2).toString('hex')).toBe('0101')
  expect(answer.readUInt16BE(2)).toBe(answer.length - 20)
  expect(answer.subarray(4, 8)).toEqual(COOKIE)
  expect(answer.subarray(8, 20)).toEqual(TRANSACTION)
  expect(answer.subarray(20).toString('hex')).toBe(attribute)
})

it('writes a fingerprint where one was sent, over all that stands before it', () => {
  const fingerprint = Buffer.from('8028000400000000', 'hex')
  const read = readBindingRequest(request(fingerprint))
  expect(read).toMatchObject({ hasFingerprint: true })
  const answer = bindingSuccess({ ...asked, hasFingerprint: true }, '192.0.2.1', 32853)
  expect(answer.length).toBe(40)
  expect(answer.readUInt16BE(2)).toBe(20)
  expect(answer.subarray(32, 36).toString('hex')).toBe('80280004')
})

it('takes requests with attributes that may be passed over', () => {
  const software = Buffer.from('802200056368726f6d000000', 'hex')
  expect(readBindingRequest(request(software))).toEqual(asked)
  expect(readBindingRequest(request())).toEqual(asked)
})

it.each([
  ['too short', request().subarray(0, 19)],
  ['an answer', request(undefined, 0x0101)],
  ['an indication', request(undefined, 0x0011)],
  ['a length that is not true', Buffer.concat([request(), Buffer.alloc(4)])],
  ['an attribute that ends outside', request(Buffer.from('8022ffff', 'hex'))],
  ['half an attribute', request(Buffer.from('8022', 'hex'))],
  ['a request to be answered from another port', request(Buffer.from('0003000400000002', 'hex'))],
  ['very long', request(Buffer.alloc(1_000))],
  ['another cookie', Buffer.concat([request().subarray(0, 4), Buffer.alloc(4), request().subarray(8)])],
])('leaves %s without an answer', (_, bytes) => {
  expect(readBindingRequest(bytes)).toBeNull()
})

it('never throws, and answers with at most 48 bytes', () => {
  const bytes = fc.oneof(
    fc.uint8Array({ maxLength: 600 }),
    fc.uint8Array({ maxLength: 200 }).map((attributes) => request(Buffer.from(attributes))),
  )
  fc.assert(
    fc.property(bytes, fc.oneof(fc.ipV4(), fc.ipV6()), fc.nat(65_535), (sent, address, port) => {
      const read = readBindingRequest(Buffer.from(sent))
      if (read === null) return
      expect(
        bindingSuccess(read, address.includes('.') && address.includes(':') ? '::1' : address, port).length,
      ).toBeLessThanOrEqual(52)
    }),
    { numRuns: 2_000 },
  )
})

it('tells tabs of the public addresses, two at most, and of none on one machine', () => {
  const addresses = [
    '/dns4/relay.example/tcp/443/tls/ws/p2p/X',
    '/ip6/2001:db8::7/tcp/443/tls/ws/p2p/X',
    '/ip4/203.0.113.7/tcp/443/tls/ws/p2p/X',
  ]
  expect(stunUrls(addresses, 8080)).toEqual(['stun:relay.example:8080', 'stun:[2001:db8::7]:8080'])
  expect(stunUrls(['/ip4/127.0.0.1/tcp/8080/ws/p2p/X', '/ip6/::1/tcp/8080/ws/p2p/X'], 8080)).toEqual([])
})
