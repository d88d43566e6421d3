/** Opening a session: what is answered, refused and limited. */
import { describe, expect, test } from 'vitest'
import { readJson } from '../../../../swarm/codec.ts'
import { SwarmError } from '../../../../swarm/errors.ts'
import { MAX_PREFIX_NAMES, MAX_SESSIONS, MAX_SESSIONS_PER_PEER } from '../../../../swarm/limits.ts'
import { type MemoryStream } from '../memory-stream.ts'
import { next, nextFailure, openFrame, tokensFrame } from '../requester.ts'
import { connect, createServer, DIGEST, open, pushed, records, sessionId } from './server-lab.ts'

const MANY_NAMES = Array.from({ length: MAX_PREFIX_NAMES + 1 }, (_, i) => `n${i}`)

describe('opening', () => {
  test('answers with what it computes with', async () => {
    const { server } = createServer({ start: 0, end: 9 })
    const stream = connect(server)
    await stream.send(openFrame({ start: 0, end: 9, previous: 'client' }))
    expect(readJson(await next(stream))).toMatchObject({ version: '1.0', weights: 'f32', backend: 'fake' })
    expect(server.stats()).toMatchObject({ sessions: 1, sessionBlocks: 9 })
    await open(connect(server), { start: 4, end: 9 }, sessionId(2))
    expect(server.stats()).toMatchObject({ sessions: 2, sessionBlocks: 14 })
  })

  test.each([
    ['another model', { modelDigest: 'e'.repeat(32) }, 'WRONG_MODEL', 410],
    ['another version', { version: '2.0' }, 'WRONG_VERSION', 426],
    ['blocks it does not hold', { start: 3, end: 9 }, 'PEER_REFUSED', 203],
    ['an empty span', { start: 3, end: 3 }, 'BAD_FRAME', 400],
    ['no previous', { previous: '' }, 'BAD_FRAME', 400],
    ['a next hop after the head', { next: 'other' }, 'BAD_FRAME', 400],
    ['zero tokens', { maxTokens: 0 }, 'BAD_FRAME', 400],
    ['a prefix without a source', { prefix: { stride: 1, names: [] } as never }, 'BAD_FRAME', 400],
    ['a prefix of no stride', { prefix: { source: 's', stride: 0, names: ['a'] } }, 'BAD_FRAME', 400],
    ['more names than a prefix has', { prefix: { source: 's', stride: 1, names: MANY_NAMES } }, 'BAD_FRAME', 400],
    ['a name that is none', { prefix: { source: 's', stride: 1, names: ['a'.repeat(33)] } }, 'BAD_FRAME', 400],
    ['f16 on the wire', { dtype: 'f16' as const }, 'PEER_REFUSED', 203],
    ['more cache than there is', { maxTokens: 20_000 }, 'CACHE_FULL', 202],
  ])('refuses %s', async (_name, message, code, status) => {
    const { server, runner } = createServer({ start: 6, end: 9 })
    records.set('other', { model: { repo: 'r', revision: 'r', digest: DIGEST, blocks: 9 } })
    const stream = connect(server)
    await stream.send(openFrame({ start: 6, end: 9, previous: 'before', next: null, ...message }))
    expect(await nextFailure(stream)).toMatchObject({ code, status })
    expect(await stream.receive()).toBeNull()
    expect(runner.sessions.size).toBe(0)
  })

  test("a prefix reaches the runner as the requesting peer's own, and the session begins with what is kept of it", async () => {
    const { server, runner } = createServer({ start: 0, end: 9 })
    runner.keptTokens = 4
    const stream = connect(server)
    const prefix = { source: 's', stride: 2, names: ['a', 'b', 'c'] }
    await stream.send(openFrame({ start: 0, end: 9, previous: 'client', prefix: { ...prefix, owner: 'x' } as never }))
    expect(readJson(await next(stream))).toMatchObject({ kept: 4 })
    expect(runner.prefixes).toEqual([{ ...prefix, owner: 'client' }])
    await stream.send(tokensFrame([7], { step: 1, position: 4 }))
    expect(await next(stream)).toMatchObject({ type: 'done', position: 4 })
  })

  test('the refusal for lack of cache says how much there is', async () => {
    const { server } = createServer({ start: 0, end: 9 })
    const stream = connect(server)
    await stream.send(openFrame({ start: 0, end: 9, maxTokens: 20_000 }))
    expect((await nextFailure(stream)).message).toContain('10000 free')
  })

  test('refuses a next hop without a fresh record, or with another model', async () => {
    const { server, runner } = createServer({ start: 0, end: 3 })
    const unknown = connect(server)
    await unknown.send(openFrame({ start: 0, end: 3, next: 'stranger' }))
    expect(await nextFailure(unknown)).toMatchObject({ code: 'WRONG_PEER', peerId: 'stranger' })
    records.set('stranger', { model: { repo: 'r', revision: 'r', digest: 'other', blocks: 9 } })
    const foreign = connect(server)
    await foreign.send(openFrame({ start: 0, end: 3, next: 'stranger' }))
    expect(await nextFailure(foreign)).toMatchObject({ code: 'WRONG_MODEL', peerId: 'stranger' })
    expect(pushed).toHaveLength(0)
    expect(runner.sessions.size).toBe(0)
  })

  test.each([
    ['is lost', new SwarmError('PEER_LOST', 'no way', { retryable: true, peerId: 'after' }), 'PEER_LOST'],
    ['does not take the stream', new Error('reset'), 'DIAL_FAILED'],
  ])('tells the requesting peer that the next hop %s, instead of just closing', async (_name, error, code) => {
    const { server, runner } = createServer({ start: 0, end: 3 }, { openPush: () => Promise.reject(error) })
    records.set('after', { model: { repo: 'r', revision: 'r', digest: DIGEST, blocks: 9 } })
    const stream = connect(server)
    await stream.send(openFrame({ start: 0, end: 3, next: 'after' }))
    expect(await nextFailure(stream)).toMatchObject({ code, peerId: 'after' })
    expect(await stream.receive()).toBeNull()
    expect(runner.sessions.size).toBe(0)
  })

  test('limits sessions of one peer and of all, and takes another when one ends', async () => {
    const { server } = createServer({ start: 0, end: 9 })
    const streams: MemoryStream[] = []
    for (let i = 0; i < MAX_SESSIONS; i += 1) {
      const peer = `client${Math.floor(i / MAX_SESSIONS_PER_PEER)}`
      const stream = connect(server, peer)
      await open(stream, { start: 0, end: 9, previous: peer }, sessionId(i))
      streams.push(stream)
    }
    const ninth = connect(server, 'client9')
    await ninth.send(openFrame({ start: 0, end: 9 }, sessionId(99)))
    expect(await nextFailure(ninth)).toMatchObject({ code: 'BUSY', status: 201, retryable: true })
    await streams[0]?.close()
    await new Promise((resolve) => setTimeout(resolve, 0))
    const fifth = connect(server, 'client1')
    await fifth.send(openFrame({ start: 0, end: 9 }, sessionId(98)))
    expect((await nextFailure(fifth)).message).toContain('one peer')
    await open(connect(server, 'client0'), { start: 0, end: 9, previous: 'client0' }, sessionId(97))
  })

  test('a session id in use is refused and its session goes on', async () => {
    const { server } = createServer({ start: 0, end: 9 })
    const stream = connect(server)
    await open(stream, { start: 0, end: 9 })
    const thief = connect(server, 'thief')
    await thief.send(openFrame({ start: 0, end: 9, previous: 'thief' }))
    expect(await nextFailure(thief)).toMatchObject({ code: 'PEER_REFUSED' })
    await stream.send(tokensFrame([1], { step: 1, position: 0 }))
    expect((await next(stream)).type).toBe('done')
  })
})
