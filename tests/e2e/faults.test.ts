/**
 * What happens while an answer streams, with real processes: the relay is killed; a donor leaves, its browser is killed or
 * stopped; with a replica the greedy text is that of an unbroken run, without one the missing blocks are named and the
 * answer goes on when they return. Donors are slowed with --simulate-speed so that an answer lasts long enough.
 */
import { afterEach, expect, test } from 'vitest'
import type { StartedProcess } from '../support/processes.ts'
import { browserTree, returningDonor, signalAll, startSlowDonors } from '../support/slow-donors.ts'
import { selectedBlocks, TestSwarm, tinytalesCase } from '../support/swarm.ts'

const STORY = tinytalesCase('Tell me a story.')
const ASK = ['--model', 'tinytales', '--temperature', '0', '--prompt', STORY.prompt]

let swarm: TestSwarm
afterEach(() => swarm.stop())

/** Two donors with half of the blocks each, and a second one for a half if asked. */
async function startHalves(replicaOf?: number): Promise<StartedProcess[]> {
  swarm = new TestSwarm()
  await swarm.relay()
  return startSlowDonors(swarm, 2, replicaOf)
}

/** The donor that runs `block` for this answer, by the last route that the prompt printed. */
function holderOf(donors: StartedProcess[], prompt: StartedProcess, block: number): StartedProcess {
  const route = prompt.stderr.findLast((line) => line.startsWith('Route: ')) ?? ''
  const hop = Array.from(route.matchAll(/(\d+):(\d+) at …(\w+)/g)).find(
    (match) => Number(match[1]) <= block && block < Number(match[2]),
  )
  const tail = hop?.[3]
  const found = donors.find((donor) => donor.both.some((line) => /PeerID: /.test(line) && line.endsWith(`${tail}`)))
  if (tail === undefined || found === undefined) throw new Error(`nobody serves block ${block} on: ${route}`)
  return found
}

function expectLoss(prompt: StartedProcess): void {
  expect(prompt.stderr.filter((line) => line.startsWith('Lost'))).not.toHaveLength(0)
}

/** Resolves when a few words have been printed: the answer is under way. */
async function underWay(prompt: StartedProcess): Promise<void> {
  await expect.poll(() => prompt.stdoutText().length, { timeout: 60_000, interval: 50 }).toBeGreaterThan(20)
}

async function expectWholeStory(prompt: StartedProcess, timeoutMs = 120_000): Promise<void> {
  const { code } = await prompt.exited(timeoutMs)
  expect(prompt.stdoutText().trimEnd(), prompt.stderr.join('\n')).toBe(STORY.greedy_text)
  expect(code).toBe(0)
}

test('the relay is killed: the answer goes on, and when it is back the tabs are listed again', async () => {
  swarm = new TestSwarm()
  await swarm.relay()
  await startSlowDonors(swarm, 4)
  const prompt = swarm.startPrompt(ASK)
  await underWay(prompt)
  swarm.relays[0]?.signal('SIGKILL')
  await expectWholeStory(prompt)
  expect(prompt.stderr.some((line) => line.startsWith('Lost'))).toBe(false)
  await swarm.relay([], 0)
  const again = await swarm.prompt(ASK)
  expect(again.ids).toEqual(STORY.greedy)
  expect(again.route).toHaveLength(4)
})

test('a donor is closed and a replica holds its blocks: the same greedy text', async () => {
  const donors = await startHalves(1)
  const prompt = swarm.startPrompt(ASK)
  await underWay(prompt)
  holderOf(donors, prompt, 6).signal('SIGINT')
  await expectWholeStory(prompt)
  expectLoss(prompt)
})

test("a donor's browser is killed and a replica holds its blocks: the same greedy text", async () => {
  const donors = await startHalves(1)
  const prompt = swarm.startPrompt(ASK)
  await underWay(prompt)
  signalAll(browserTree(holderOf(donors, prompt, 4)), 'SIGKILL')
  await expectWholeStory(prompt)
  expectLoss(prompt)
})

test("a donor's browser is stopped and resumed: the same greedy text", async () => {
  const donors = await startHalves(0)
  const prompt = swarm.startPrompt(ASK)
  await underWay(prompt)
  const tree = browserTree(holderOf(donors, prompt, 0))
  signalAll(tree, 'SIGSTOP')
  try {
    await expectWholeStory(prompt)
    expectLoss(prompt)
  } finally {
    signalAll(tree, 'SIGCONT')
  }
})

test('without a replica the answer pauses with the blocks named, and goes on when a donor returns', async () => {
  const donors = await startHalves()
  const prompt = swarm.startPrompt(ASK)
  await underWay(prompt)
  const leaver = holderOf(donors, prompt, 6)
  signalAll(browserTree(leaver), 'SIGKILL')
  await prompt.waitForLine(/^Waiting: nobody serves blocks 4–7/, 60_000)
  returningDonor(swarm, 2)
  await expectWholeStory(prompt, 180_000)
})

test('two relays, donors on each: one swarm, and one relay is enough to join it', async () => {
  swarm = new TestSwarm()
  await swarm.relay()
  await swarm.relay(['--dht-initial-peers', swarm.addresses[0] as string])
  const args = ['--model', 'tinytales', '--num_blocks', '2']
  for (const [index, peers] of [0, 1, 0, 1].entries()) {
    const donor = swarm.donor(args, { initialPeers: swarm.addresses[peers] as string })
    await donor.waitForLine(/server ready/, 90_000)
    expect(selectedBlocks(donor)[0], `donor ${index}`).toBe(index * 2)
  }
  for (const address of swarm.addresses) {
    const answer = await swarm.prompt(ASK, { initialPeers: address })
    expect(answer.ids).toEqual(STORY.greedy)
  }
})
