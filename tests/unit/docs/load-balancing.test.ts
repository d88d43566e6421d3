/** The guide in two languages and its start scripts say the same. What they say is run by `tests/e2e` and `tests/long`. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { guideBlocks } from '../../support/load-balancing-guide.ts'
import { REPO_ROOT } from '../../support/processes.ts'

test('both languages have the same code blocks', () => {
  expect([...guideBlocks('ko').values()]).toEqual([...guideBlocks('en').values()])
})

test.each([
  ['server1', 'server1.sh'],
  ['server2', 'server2.sh'],
  ['client', 'client.sh'],
])('the block %s and examples/%s run the same command', (name, file) => {
  const script = readFileSync(join(REPO_ROOT, 'examples', file), 'utf8')
  const plain = (text: string): string =>
    text
      .replace('exec ', '')
      .replaceAll(/"(\$DHT_PEERS?|\/ip4\/[^"]*)"/g, 'ADDRESS')
      .replaceAll(/\s+/g, ' ')
      .trim()
  const command = script.slice(script.indexOf('exec npm'))
  expect(plain(command)).toBe(plain(guideBlocks('en').get(name)?.text ?? ''))
})
