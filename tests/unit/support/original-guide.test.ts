/**
 * The tests' copy of the original's commands against the text itself, where it is (`../shared/design/original.md`): every
 * command block is one that a test runs, word for word but for the pasted peer ids.
 */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { clientCommand, method1, method2, startScript, toArguments } from '../../support/original-guide.ts'
import { REPO_ROOT } from '../../support/processes.ts'

const GUIDE = join(REPO_ROOT, '../shared/design/original.md')
const IS_THERE = existsSync(GUIDE)

const SERVER_1 = '/ip4/119.59.0.14/tcp/22452/p2p/12D3KooW...'
const FIRST = '/ip4/119.59.0.14/tcp/22452/p2p/첫서버PeerID'
const BOTH = '/ip4/119.59.0.14/tcp/22452/p2p/서버1PeerID,/ip4/119.59.0.14/tcp/29354/p2p/서버2PeerID'

/** What `tests/e2e/original-scenario.test.ts` runs. */
const RUN = [
  method1(0),
  ...[1, 2, 3].map((index) => method1(index, SERVER_1)),
  method2(0),
  method2(1, FIRST),
  clientCommand(BOTH),
  startScript(0),
  startScript(1, FIRST),
]

describe.skipIf(!IS_THERE)(
  `the original's guide${IS_THERE ? '' : ' (skipped: its text is only where ../shared is)'}`,
  () => {
    test('every command block is run by a test', () => {
      const blocks = Array.from(readFileSync(GUIDE, 'utf8').matchAll(/```bash\n(.*?)```/gs), (match) => match[1] ?? '')
      const commands = blocks.filter((block) => block.includes('python -m src.main'))
      expect(commands).toHaveLength(9)
      expect(commands.map(plain).toSorted()).toEqual(RUN.map(plain).toSorted())
    })
  },
)

test('stage 0 is the client, every other stage a donor', () => {
  expect(toArguments(clientCommand('a'), '10.0.0.1').slice(0, 3)).toEqual([
    'prompt',
    '--model',
    'meta-llama/Llama-3.1-8B',
  ])
  expect(toArguments(method1(1, 'a'), '10.0.0.1')).toEqual(
    expect.arrayContaining(['donate', '--public_ip', '10.0.0.1']),
  )
})

/** Without comments, and without the space in a placeholder. */
function plain(block: string): string {
  return block
    .replaceAll(/^#(?!!).*\n/gm, '')
    .replaceAll('첫서버 PeerID', '첫서버PeerID')
    .trim()
}
