/** Steps of a session: who may send what, positions, order. */
import { describe, expect, test } from 'vitest'
import { encodeFrame, FLAG_ALL_ROWS, FLAG_CUT, readHidden, readJson, readLogits } from '../../../../swarm/codec.ts'
import { MAX_LOGITS_ROWS, MAX_QUEUED_STEPS } from '../../../../swarm/limits.ts'
import { type MemoryStream } from '../memory-stream.ts'
import { hiddenFrame, next, nextFailure, openFrame, SESSION, tokensFrame } from '../requester.ts'
import { attach, connect, createServer, DIGEST, lastHop, open, pushed, records, settled } from './server-lab.ts'

describe('steps', () => {
  test('first hop: token ids in, hidden states out to the next hop', async () => {
    records.set('after', { model: { repo: 'r', revision: 'r', digest: DIGEST, blocks: 9 } })
    const { server } = createServer({ start: 0, end: 3 })
    const stream = connect(server)
    await open(stream, { start: 0, end: 3, next: 'after' })
    const after = pushed[0] as MemoryStream
    expect((await next(after)).type).toBe('attach')
    await stream.send(tokensFrame([5, 7], { step: 1, position: 0, topK: 9 }))
    const frame = await next(after)
    expect(frame).toMatchObject({ type: 'step', step: 1, position: 0, rows: 2, columns: 2, flags: 0x8009 })
    expect([...readHidden(frame)]).toEqual([8, 8, 10, 10])
  })

  test('last hop: hidden states in, logits out to the requesting peer', async () => {
    const { server, stream } = await lastHop()
    const before = await attach(server, 'before')
    expect((await next(before)).type).toBe('attached')
    await before.send(
      hiddenFrame(
        [
          [1, 1],
          [2, 2],
        ],
        { step: 1, position: 0 },
      ),
    )
    expect(await next(stream)).toMatchObject({ type: 'done', step: 1, rows: 2 })
    await before.send(hiddenFrame([[3, 3]], { step: 2, position: 2, topK: 3 }))
    const answer = await next(stream)
    expect(answer).toMatchObject({ type: 'logits', step: 2, position: 2, columns: 3 })
    expect([...readLogits(answer)[0]!.ids]).toEqual([24, 25, 26])
  })

  test('last hop: the logits of all rows, and a step that forgets some of them', async () => {
    const { server, runner, stream } = await lastHop()
    const before = await attach(server, 'before')
    await next(before)
    const rows = (values: number[]): number[][] => values.map((value) => [value, value])
    const tried = hiddenFrame(rows([1, 2, 3]), { step: 1, position: 0, topK: 2 })
    await before.send({ ...tried, flags: tried.flags | FLAG_ALL_ROWS })
    const answer = await next(stream)
    expect(answer).toMatchObject({ type: 'logits', step: 1, position: 0, rows: 3, columns: 2, flags: FLAG_ALL_ROWS })
    const found = readLogits(answer).map(({ ids }) => [...ids])
    expect(found).toEqual([
      [22, 23],
      [23, 24],
      [24, 25],
    ])
    const cutting = hiddenFrame(rows([9]), { step: 2, position: 1, topK: 2 })
    await before.send({ ...cutting, flags: cutting.flags | FLAG_CUT })
    expect(await next(stream)).toMatchObject({ type: 'logits', step: 2, position: 1, rows: 1, flags: 0 })
    expect(runner.sessions.get(SESSION)!.values).toEqual([22, 30])
    // One that cuts nothing is a step like any other.
    const plain = hiddenFrame(rows([4]), { step: 3, position: 2, topK: 2 })
    await before.send({ ...plain, flags: plain.flags | FLAG_CUT })
    expect((await next(stream)).step).toBe(3)
    // Forward it cannot go, and back only where it says so.
    await before.send(hiddenFrame(rows([4]), { step: 4, position: 1 }))
    expect(await nextFailure(stream)).toMatchObject({ code: 'WRONG_POSITION' })
  })

  test('a step that says it cuts and leaves a gap is refused', async () => {
    const { server, stream } = await lastHop()
    const before = await attach(server, 'before')
    await next(before)
    const gap = hiddenFrame([[1, 1]], { step: 1, position: 1 })
    await before.send({ ...gap, flags: gap.flags | FLAG_CUT })
    expect(await nextFailure(stream)).toMatchObject({ code: 'WRONG_POSITION', status: 409, peerId: 'before' })
  })

  test('the next hop learns what the step asks for', async () => {
    records.set('after', { model: { repo: 'r', revision: 'r', digest: DIGEST, blocks: 9 } })
    const { server } = createServer({ start: 0, end: 3 })
    const stream = connect(server)
    const opened = await open(stream, { start: 0, end: 3, next: 'after' })
    expect(readJson(opened)['logitsRows']).toBe(MAX_LOGITS_ROWS)
    const after = pushed[0] as MemoryStream
    await next(after)
    const step = tokensFrame([5, 7], { step: 1, position: 0, topK: 9 })
    await stream.send({ ...step, flags: step.flags | FLAG_ALL_ROWS | FLAG_CUT })
    expect((await next(after)).flags).toBe(0x8009 | FLAG_ALL_ROWS | FLAG_CUT)
  })

  test('where two hops cannot connect, the requesting peer stands between them', async () => {
    const { server } = createServer({ start: 3, end: 6 })
    const stream = connect(server)
    await open(stream, { start: 3, end: 6, previous: 'client', next: 'client' })
    await stream.send(hiddenFrame([[1, 2]], { step: 1, position: 0 }))
    expect([...readHidden(await next(stream))]).toEqual([13, 14])
    expect(pushed).toHaveLength(0)
  })

  test('a step from a peer that is not the previous hop is refused, and the session goes on', async () => {
    const { server, stream } = await lastHop()
    const stranger = await attach(server, 'stranger')
    expect(await nextFailure(stranger)).toMatchObject({ code: 'WRONG_PEER', status: 403 })
    const before = await attach(server, 'before')
    expect((await next(before)).type).toBe('attached')
    await before.send(hiddenFrame([[1, 1]], { step: 1, position: 0 }))
    expect((await next(stream)).type).toBe('done')
  })

  test('a step of the requesting peer past its first hop is refused', async () => {
    const { stream } = await lastHop()
    await stream.send(hiddenFrame([[1, 1]], { step: 1, position: 0 }))
    expect(await nextFailure(stream)).toMatchObject({ code: 'WRONG_PEER' })
  })

  test('an attach may come before the session is opened', async () => {
    const { server } = createServer({ start: 6, end: 9 })
    const before = await attach(server, 'before')
    const stream = connect(server)
    await open(stream, { start: 6, end: 9, previous: 'before', next: null })
    expect((await next(before)).type).toBe('attached')
  })

  test.each([
    ['a NaN', [[Number.NaN, 1]], 0, 'NOT_FINITE', 422],
    ['an infinite value', [[Infinity, 1]], 0, 'NOT_FINITE', 422],
    ['another width', [[1, 2, 3]], 0, 'BAD_FRAME', 400],
    ['a position that leaves a gap', [[1, 2]], 1, 'WRONG_POSITION', 409],
  ])(
    '%s is refused to the requesting peer with the sender named, and the cache is freed',
    async (_name, values, position, code, status) => {
      const { server, runner, stream } = await lastHop()
      const before = await attach(server, 'before')
      await next(before)
      await before.send(hiddenFrame(values, { step: 1, position }))
      expect(await nextFailure(stream)).toMatchObject({ code, status, peerId: 'before' })
      await settled(() => runner.sessions.size === 0)
    },
  )

  test('a frame that lies about its length ends the session with BAD_FRAME', async () => {
    const { server, stream } = await lastHop()
    const before = await attach(server, 'before')
    await next(before)
    const bytes = encodeFrame(hiddenFrame([[1, 2]], { step: 1, position: 0 }))
    before.sendBytes(bytes.subarray(0, bytes.length - 4))
    expect(await nextFailure(stream)).toMatchObject({ code: 'BAD_FRAME', status: 400, peerId: 'before' })
  })

  test('a NaN that the runner makes is this hop’s own failure', async () => {
    records.set('after', { model: { repo: 'r', revision: 'r', digest: DIGEST, blocks: 9 } })
    const { server, runner } = createServer({ start: 0, end: 3 })
    runner.poison = Number.NaN
    const stream = connect(server)
    await open(stream, { start: 0, end: 3, next: 'after' })
    await stream.send(tokensFrame([1], { step: 1, position: 0 }))
    expect(await nextFailure(stream)).toMatchObject({ code: 'NOT_FINITE', peerId: 'hop' })
  })

  test('late and repeated steps are dropped without a word', async () => {
    const { server } = createServer({ start: 0, end: 9 })
    const stream = connect(server)
    await stream.send(openFrame({ start: 0, end: 9 }, SESSION, 3))
    await next(stream)
    await stream.send(tokensFrame([1], { step: 5, position: 0, epoch: 3 }))
    expect((await next(stream)).step).toBe(5)
    await stream.send(tokensFrame([1], { step: 5, position: 0, epoch: 3 }))
    await stream.send(tokensFrame([1], { step: 9, position: 1, epoch: 2 }))
    await stream.send(tokensFrame([1], { step: 6, position: 1, epoch: 3 }))
    expect((await next(stream)).step).toBe(6)
  })

  test('tokens beyond the cache that was set aside are refused', async () => {
    const { server } = createServer({ start: 0, end: 9 })
    const stream = connect(server)
    await open(stream, { start: 0, end: 9, maxTokens: 2 })
    await stream.send(tokensFrame([1, 2, 3], { step: 1, position: 0 }))
    const failure = await nextFailure(stream)
    expect(failure).toMatchObject({ code: 'CACHE_FULL', status: 202 })
    expect(failure.message).toContain('3 tokens')
  })

  test('more waiting steps than the limit are refused', async () => {
    const { server, runner } = createServer({ start: 0, end: 9 })
    let openGate = (): void => undefined
    runner.gate = new Promise((resolve) => (openGate = resolve))
    const stream = connect(server)
    await open(stream, { start: 0, end: 9 })
    for (let i = 0; i <= MAX_QUEUED_STEPS; i += 1) await stream.send(tokensFrame([1], { step: i + 1, position: i }))
    expect(await nextFailure(stream)).toMatchObject({ code: 'BUSY', retryable: true })
    openGate()
  })
})
