/**
 * What `tests/e2e/homes.test.ts` leaves out because it takes minutes: a home gets another public address in the middle of an
 * answer, and the relay is out of reach for a minute and a visitor comes right after it.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { pathsOf, printTable, secondsUntil, type HomesRow } from '../support/homes/story.ts'
import { World } from '../support/homes/world.ts'
import { whyNoRouters } from '../support/namespaces/whether.ts'
import type { StartedProcess } from '../support/processes.ts'
import { answerOf, tinytalesCase } from '../support/swarm.ts'

const STORY = tinytalesCase('Tell me a story.')
const WHY_NOT = whyNoRouters()
const LONG = ['--ignore-eos', '--max-tokens', '300']
const TROUBLE = /^(Lost|Waiting)/
const A_MINUTE_MS = 60_000

describe.skipIf(WHY_NOT !== null)(`two homes, longer${WHY_NOT === null ? '' : ` (skipped: ${WHY_NOT})`}`, () => {
  const rows: HomesRow[] = []
  let world: World
  let address: string
  let unbroken: number[]

  beforeAll(async () => {
    world = new World()
    address = await world.relayHost.startRelay()
    await world.startDonors(address)
    unbroken = (await answerOf(ask(...LONG))).ids
    expect(unbroken.slice(0, STORY.greedy.length)).toEqual(STORY.greedy)
  })
  afterAll(async () => {
    printTable(rows)
    await world?.stop()
  })

  function ask(...args: readonly string[]): StartedProcess {
    return world.ask(address, ...args, '--prompt', STORY.prompt)
  }

  test('the relay is out of reach for a minute: who is there goes on, who comes after it is answered', async () => {
    const asked = ask(...LONG)
    await asked.waitForLine(/^Route: /, 60_000)
    const cutAt = performance.now()
    world.relayHost.line.cut()
    const answer = await answerOf(asked, 200_000)
    expect(answer.ids).toEqual(unbroken)
    const rest = A_MINUTE_MS - (performance.now() - cutAt)
    if (rest > 0) await new Promise((resolve) => setTimeout(resolve, rest))
    const mendedAt = performance.now()
    world.relayHost.line.mend()
    const late = ask()
    const second = await answerOf(late, 200_000)
    expect(second.ids).toEqual(STORY.greedy)
    rows.push({
      what: 'the relay out of reach for a minute, a new visitor',
      paths: pathsOf(second),
      noticedAfterS: null,
      recoveredAfterS: secondsUntil(late, /^Route: /, mendedAt),
    })
  })

  test('a home gets another public address in the middle of an answer', async () => {
    const asked = ask(...LONG)
    await asked.waitForLine(/^Route: /, 60_000)
    const changedAt = performance.now()
    world.homes[1].router.changeAddress('203.0.113.22')
    const answer = await answerOf(asked, 400_000)
    expect(answer.ids).toEqual(unbroken)
    rows.push({
      what: 'one home’s public address changed',
      paths: pathsOf(answer),
      noticedAfterS: secondsUntil(asked, TROUBLE, changedAt),
      recoveredAfterS: secondsUntil(asked, /^Route: /, changedAt),
    })
  })
})
