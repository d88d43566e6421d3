/**
 * A planned move under `flow`, the default rule: a donor whose blocks somebody faster brings too goes over to the half that limits the
 * swarm, while an answer runs on it. The answer ends on the old blocks with the greedy text; the next one takes the new place.
 */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { peerIdOf, type StartedProcess } from '../support/processes.ts'
import { answerOf, READY, selectedBlocks, TestSwarm, tinytalesCase } from '../support/swarm.ts'

const STORY = tinytalesCase('Tell me a story.')
/** Some 15 s on the mover: longer than its move takes to begin. */
const ANSWER_TOKENS = 48
const NEXT_TOKENS = 8
const MOVER = [
  '--num_blocks',
  '4',
  '--simulate-speed',
  '16',
  '--mean_balance_check_period',
  '2',
  '--backend',
  'software',
]
const ask = (tokens: number): string[] => [
  '--temperature',
  '0',
  '--max-tokens',
  String(tokens),
  '--prompt',
  STORY.prompt,
  '--json',
]
const fixed = (stage: number, speed: number): string[] => [
  '--splits',
  '4',
  '--stage',
  String(stage),
  '--simulate-speed',
  String(speed),
  '--backend',
  'software',
]

let swarm: TestSwarm
let mover: StartedProcess
beforeAll(async () => {
  swarm = new TestSwarm()
  await swarm.relay()
  mover = swarm.donor(MOVER)
  await mover.waitForLine(READY, 120_000)
  await swarm.donor(fixed(1, 34)).waitForLine(READY, 120_000)
})
afterAll(() => swarm?.stop())

test('the mover leaves its half to a faster donor, and the answer that runs on it ends as it would have', async () => {
  expect(selectedBlocks(mover)).toEqual([0, 1, 2, 3])
  const prompt = swarm.startPrompt(ask(ANSWER_TOKENS))
  await prompt.waitForLine(/^Route: 0:4 at …\w+ /, 60_000)
  await swarm.donor(fixed(0, 160)).waitForLine(READY, 120_000)
  await mover.waitForLine(/^Load Balancing server ready, blocks=\[4, 5, 6, 7\]/, 60_000)

  const answer = await answerOf(prompt, 120_000)
  expect(answer.ids).toEqual(STORY.greedy.slice(0, ANSWER_TOKENS))
  // None, unless it takes longer than a tab waits before it gives up its old blocks.
  for (const line of prompt.stderr.filter((each) => each.startsWith('Lost'))) {
    expect(line).toMatch(/moved to other blocks\): looking for another route\.$/)
  }
  expect(mover.both.filter((line) => line.startsWith('Missing blocks: 0'))).toEqual([])
})

test('from then on it serves the other half, and nothing is lost by that either', async () => {
  const answer = await answerOf(swarm.startPrompt(ask(NEXT_TOKENS)), 120_000)
  expect(answer.ids).toEqual(STORY.greedy.slice(0, NEXT_TOKENS))
  expect(answer.route.map(({ start, end }) => [start, end])).toEqual([
    [0, 4],
    [4, 8],
  ])
  expect(answer.route[0]?.peer).not.toBe(peerIdOf(mover))
})
