/** The code blocks of a document, by the name in the comment before each, so that tests run what readers read. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { REPO_ROOT } from './processes.ts'

export interface CodeBlock {
  name: string
  /** `bash`: commands; `text`: what they print, or what belongs into a file. */
  kind: 'bash' | 'text'
  text: string
}

/** @throws Error for a code block without a name, a name given twice, or another language than bash and text */
export function codeBlocks(file: string): Map<string, CodeBlock> {
  const blocks = new Map<string, CodeBlock>()
  const document = readFileSync(join(REPO_ROOT, file), 'utf8')
  for (const match of document.matchAll(/(?:<!-- block: ([\w-]+) -->\n\n)?```(\w*)\n(.*?)```/gs)) {
    const [, name, kind, text] = match
    if (name === undefined || (kind !== 'bash' && kind !== 'text') || text === undefined) {
      throw new Error(`${file}: a code block needs a name and a language (bash, text): ${match[0]}`)
    }
    if (blocks.has(name)) throw new Error(`${file}: two blocks are named ${name}`)
    blocks.set(name, { name, kind, text })
  }
  return blocks
}
