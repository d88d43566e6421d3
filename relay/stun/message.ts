/**
 * The part of STUN (RFC 8489) that tells a tab its public address: a Binding request in, a success response with
 * XOR-MAPPED-ADDRESS out. Everything else is no message to us and gets no answer.
 */
import { isIPv6 } from 'node:net'
import { crc32 } from 'node:zlib'
import { ipv6Groups, plainAddress } from '../addresses.ts'

const HEADER_BYTES = 20
/** Requests of browsers have 20 to about 100 bytes. */
const MAX_REQUEST_BYTES = 512
const BINDING_REQUEST = 0x0001
const BINDING_SUCCESS = 0x0101
const MAGIC_COOKIE = 0x2112a442
const XOR_MAPPED_ADDRESS = 0x0020
const FINGERPRINT = 0x8028
/** Attributes below it may not be passed over by whoever does not know them (section 14). */
const FIRST_OPTIONAL = 0x8000
/** "STUN", RFC 8489 section 14.7. */
const FINGERPRINT_XOR = 0x5354554e

export interface BindingRequest {
  transactionId: Buffer
  /** It carried a fingerprint, so the answer does too. */
  hasFingerprint: boolean
}

/** Null for anything that is not a well-formed Binding request. */
export function readBindingRequest(bytes: Buffer): BindingRequest | null {
  if (bytes.length < HEADER_BYTES || bytes.length > MAX_REQUEST_BYTES) return null
  if (bytes.readUInt16BE(0) !== BINDING_REQUEST || bytes.readUInt32BE(4) !== MAGIC_COOKIE) return null
  if (bytes.readUInt16BE(2) !== bytes.length - HEADER_BYTES) return null
  let hasFingerprint = false
  let at = HEADER_BYTES
  while (at < bytes.length) {
    if (at + 4 > bytes.length) return null
    const type = bytes.readUInt16BE(at)
    // Such a one changes what the request means (to be answered from elsewhere, for example): nobody here does that.
    if (type < FIRST_OPTIONAL) return null
    hasFingerprint ||= type === FINGERPRINT
    // Attributes are padded to four bytes.
    at += 4 + ((bytes.readUInt16BE(at + 2) + 3) & ~3)
  }
  return at === bytes.length ? { transactionId: bytes.subarray(8, HEADER_BYTES), hasFingerprint } : null
}

/** `address` as the request's packet came from. 32 bytes for IPv4, 44 for IPv6, 8 more with a fingerprint. */
export function bindingSuccess(request: BindingRequest, address: string, port: number): Buffer {
  const ip = isIPv6(address) ? ipv6Bytes(address) : Buffer.from(address.split('.').map(Number))
  const value = Buffer.alloc(4 + ip.length)
  value.writeUInt8(ip.length === 4 ? 1 : 2, 1)
  value.writeUInt16BE(port ^ (MAGIC_COOKIE >>> 16), 2)
  const key = Buffer.alloc(16)
  key.writeUInt32BE(MAGIC_COOKIE, 0)
  request.transactionId.copy(key, 4)
  ip.forEach((byte, index) => value.writeUInt8(byte ^ key.readUInt8(index), 4 + index))
  const attribute = Buffer.concat([attributeHead(XOR_MAPPED_ADDRESS, value.length), value])
  const length = attribute.length + (request.hasFingerprint ? 8 : 0)
  const message = Buffer.concat([header(length, request.transactionId), attribute])
  if (!request.hasFingerprint) return message
  const print = Buffer.alloc(4)
  print.writeUInt32BE((crc32(message) ^ FINGERPRINT_XOR) >>> 0)
  return Buffer.concat([message, attributeHead(FINGERPRINT, 4), print])
}

function header(length: number, transactionId: Buffer): Buffer {
  const bytes = Buffer.alloc(HEADER_BYTES)
  bytes.writeUInt16BE(BINDING_SUCCESS, 0)
  bytes.writeUInt16BE(length, 2)
  bytes.writeUInt32BE(MAGIC_COOKIE, 4)
  transactionId.copy(bytes, 8)
  return bytes
}

function attributeHead(type: number, length: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt16BE(type, 0)
  bytes.writeUInt16BE(length, 2)
  return bytes
}

function ipv6Bytes(address: string): Buffer {
  const bytes = Buffer.alloc(16)
  ipv6Groups(plainAddress(address)).forEach((group, index) => bytes.writeUInt16BE(group, 2 * index))
  return bytes
}
