/** Truncation, more logits, pings, ends. */
import { describe, expect, test } from 'vitest'
import { emptyFrame, readLogits } from '../../../../swarm/codec.ts'
import { type MemoryStream } from '../memory-stream.ts'
import { next, nextFailure, SESSION, tokensFrame } from '../requester.ts'
import { attach, connect, createServer, DIGEST, lastHop, open, pushed, records, settled } from './server-lab.ts'

describe('controls', () => {
  test('truncate forgets tokens, also those of steps that wait, and the next step begins there', async () => {
    const { server, runner } = createServer({ start: 0, end: 9 })
    const stream = connect(server)
    await open(stream, { start: 0, end: 9 })
    await stream.send(tokensFrame([1, 2, 3], { step: 1, position: 0 }))
    await next(stream)
    let openGate = (): void => undefined
    runner.gate = new Promise((resolve) => (openGate = resolve))
    await stream.send(tokensFrame([4], { step: 2, position: 3 }))
    await stream.send(tokensFrame([5], { step: 3, position: 4 }))
    await settled(() => runner.batches.length === 2)
    await stream.send({ ...emptyFrame('truncate', SESSION, 1), step: 4, position: 2 })
    // Sent behind the truncation without waiting for it: must not overtake it.
    await stream.send(tokensFrame([9], { step: 5, position: 2, epoch: 1, topK: 1 }))
    openGate()
    expect(await next(stream)).toMatchObject({ type: 'truncated', epoch: 1, position: 2 })
    const answer = await next(stream)
    expect(answer).toMatchObject({ type: 'logits', step: 5, epoch: 1, position: 2 })
    expect([...readLogits(answer)[0]!.ids]).toEqual([45])
    expect(runner.sessions.get(SESSION)?.values).toEqual([37, 38, 45])
  })

  test('more logits of the last step, all of them for 0', async () => {
    const { server } = createServer({ start: 0, end: 9 })
    const stream = connect(server)
    await open(stream, { start: 0, end: 9 })
    await stream.send(tokensFrame([1], { step: 1, position: 0, topK: 2 }))
    expect((await next(stream)).columns).toBe(2)
    await stream.send({ ...emptyFrame('moreLogits', SESSION, 0), step: 1, columns: 5 })
    expect(await next(stream)).toMatchObject({ type: 'logits', step: 1, columns: 5 })
    await stream.send({ ...emptyFrame('moreLogits', SESSION, 0), step: 1, columns: 0 })
    expect((await next(stream)).columns).toBe(1_000)
  })

  test('ping is answered while the runner is busy', async () => {
    const { server, runner } = createServer({ start: 0, end: 9 })
    let openGate = (): void => undefined
    runner.gate = new Promise((resolve) => (openGate = resolve))
    const stream = connect(server)
    await open(stream, { start: 0, end: 9 })
    await stream.send(tokensFrame([1], { step: 1, position: 0 }))
    await stream.send({ ...emptyFrame('ping', SESSION, 0), step: 77 })
    expect(await next(stream)).toMatchObject({ type: 'pong', step: 77 })
    openGate()
  })

  test('close frees the cache and ends the push stream cleanly', async () => {
    records.set('after', { model: { repo: 'r', revision: 'r', digest: DIGEST, blocks: 9 } })
    const { server, runner } = createServer({ start: 0, end: 3 })
    const stream = connect(server)
    await open(stream, { start: 0, end: 3, next: 'after' })
    const after = pushed[0] as MemoryStream
    await next(after)
    await stream.send(emptyFrame('close', SESSION, 0))
    expect((await next(after)).type).toBe('close')
    await settled(() => runner.sessions.size === 0)
    expect(server.stats().sessions).toBe(0)
  })

  test('a lost next hop and a lost previous hop are told to the requesting peer by name', async () => {
    records.set('after', { model: { repo: 'r', revision: 'r', digest: DIGEST, blocks: 9 } })
    const first = createServer({ start: 0, end: 3 })
    const stream = connect(first.server)
    await open(stream, { start: 0, end: 3, next: 'after' })
    pushed[0]?.abort(new Error('gone'))
    expect(await nextFailure(stream)).toMatchObject({ code: 'PEER_LOST', peerId: 'after', retryable: true })
    const last = await lastHop()
    const before = await attach(last.server, 'before')
    await next(before)
    before.abort(new Error('gone'))
    expect(await nextFailure(last.stream)).toMatchObject({ code: 'PEER_LOST', peerId: 'before' })
  })
})
