/**
 * Two donors in different homes serve one model, and a phone behind its carrier's router prompts. Homes, routers and the
 * network between them are network namespaces. What the product says of its paths is held against the routers' own counters, and
 * the text is that of an unbroken run whatever happens to the lines. The waits of a minute are in `tests/long/homes.test.ts`.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { pathsOf, printTable, secondsUntil, type HomesRow } from '../support/homes/story.ts'
import type { RouterKind } from '../support/homes/router.ts'
import { World } from '../support/homes/world.ts'
import { whyNoRouters } from '../support/namespaces/whether.ts'
import type { StartedProcess } from '../support/processes.ts'
import { answerOf, tinytalesCase } from '../support/swarm.ts'

const STORY = tinytalesCase('Tell me a story.')
const WHY_NOT = whyNoRouters()
/** Eight rows of one block each at least: less than one story's hidden states, more than any signalling. */
const AN_ANSWER_BYTES = 20_000
/** Long enough that it is still under way when something happens to it. */
const LONG = ['--ignore-eos', '--max-tokens', '300']
const TROUBLE = /^(Lost|Waiting)/

describe.skipIf(WHY_NOT !== null)(`two homes${WHY_NOT === null ? '' : ` (skipped: ${WHY_NOT})`}`, () => {
  const rows: HomesRow[] = []
  let world: World
  let address: string
  let donors: StartedProcess[] = []
  /** Ids of an unbroken long run. */
  let unbroken: number[]

  beforeAll(async () => {
    world = new World()
    address = await world.relayHost.startRelay()
    await startDonors()
  })
  afterAll(async () => {
    printTable(rows)
    await world?.stop()
  })

  async function startDonors(): Promise<void> {
    await Promise.all(donors.map((donor) => donor.stop()))
    donors = await world.startDonors(address)
  }

  function ask(...args: readonly string[]): StartedProcess {
    return world.ask(address, ...args, '--prompt', STORY.prompt)
  }

  function udpBetweenHomes(): number[] {
    const [a, b] = world.homes
    return [a.router.udpBytesFrom(b.router.address), b.router.udpBytesFrom(a.router.address)]
  }

  test('behind the routers of homes: direct, also from home to home', async () => {
    const answer = await answerOf(ask())
    expect(answer.ids).toEqual(STORY.greedy)
    expect(answer.route.map((hop) => hop.path)).toEqual(['direct', 'direct'])
    expect(Math.max(...udpBetweenHomes())).toBeGreaterThan(AN_ANSWER_BYTES)
    rows.push({ what: 'home routers', paths: pathsOf(answer), noticedAfterS: null, recoveredAfterS: null })
    unbroken = (await answerOf(ask(...LONG))).ids
    expect(unbroken.slice(0, STORY.greedy.length)).toEqual(STORY.greedy)
  })

  test('a line of 10 Mbit/s', async () => {
    world.homes[1].router.shape('10mbit')
    const answer = await answerOf(ask(...LONG))
    world.homes[1].router.shape(null)
    expect(answer.ids).toEqual(unbroken)
    rows.push({ what: 'one home at 10 Mbit/s', paths: pathsOf(answer), noticedAfterS: null, recoveredAfterS: null })
  })

  test('a home’s line is cut for a while and comes back', async () => {
    const asked = ask(...LONG)
    await asked.waitForLine(/^Route: /, 60_000)
    const cutAt = performance.now()
    world.homes[1].router.line.cut()
    await asked.waitForLine(TROUBLE, 60_000)
    const mendedAt = performance.now()
    world.homes[1].router.line.mend()
    const answer = await answerOf(asked, 200_000)
    expect(answer.ids).toEqual(unbroken)
    rows.push({
      what: 'one home’s line cut, and back',
      paths: pathsOf(answer),
      noticedAfterS: secondsUntil(asked, TROUBLE, cutAt),
      recoveredAfterS: secondsUntil(asked, /^Route: /, mendedAt),
    })
  })

  test('the relay cannot be reached for a while: answers over direct connections do not notice', async () => {
    const asked = ask(...LONG)
    await asked.waitForLine(/^Route: /, 60_000)
    world.relayHost.line.cut()
    const answer = await answerOf(asked, 200_000)
    world.relayHost.line.mend()
    expect(answer.ids).toEqual(unbroken)
    rows.push({ what: 'the relay out of reach', paths: pathsOf(answer), noticedAfterS: null, recoveredAfterS: null })
  })

  test.each<[RouterKind, string]>([
    ['random-ports', 'a router that takes another port each time'],
    ['no-udp', 'a router that lets no UDP through'],
  ])('%s: relayed, with the same text', async (kind, what) => {
    world.homes[1].router.become(kind)
    world.countAgain()
    await startDonors()
    const before = world.relayHost.metric('tabswarm_relay_relayed_bytes_total')
    const answer = await answerOf(ask())
    expect(answer.ids).toEqual(STORY.greedy)
    expect(answer.route.map((hop) => hop.path)).toEqual(['relayed', 'relayed'])
    expect(Math.max(...udpBetweenHomes())).toBeLessThan(AN_ANSWER_BYTES)
    expect(world.relayHost.metric('tabswarm_relay_relayed_bytes_total') - before).toBeGreaterThan(AN_ANSWER_BYTES)
    rows.push({ what, paths: pathsOf(answer), noticedAfterS: null, recoveredAfterS: null })
  })
})
