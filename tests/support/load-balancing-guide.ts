/**
 * The code blocks of `docs/load-balancing.md` and of its Korean twin, by the name in the comment before each; and a shell
 * that runs them as they stand, but for the public address (loopback here) and the peer ids that a reader pastes.
 */
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { codeBlocks, type CodeBlock } from './code-blocks.ts'
import { cleanEnv, REPO_ROOT, startProcess, type StartedProcess } from './processes.ts'

export type GuideLanguage = 'en' | 'ko'

const FILES: Record<GuideLanguage, string> = { en: 'docs/load-balancing.md', ko: 'docs/load-balancing.ko.md' }

export function guideBlocks(language: GuideLanguage): Map<string, CodeBlock> {
  return codeBlocks(FILES[language])
}

/** A pattern a line, for what a block says is printed: `...` is anything, `XX.XX` a number with two decimals. */
export function printedPatterns(block: CodeBlock): RegExp[] {
  return block.text
    .trimEnd()
    .split('\n')
    .map((line) => new RegExp(`^${escape(line).replaceAll('\\.\\.\\.', '.+').replaceAll('XX\\.XX', '\\d+\\.\\d\\d')}$`))
}

function escape(text: string): string {
  return text.replaceAll(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`)
}

export interface GuideShellOptions {
  /** Data folder of the servers, home of the token, and the `hf` command. */
  folder: string
  /** Where models are read. */
  hubUrl: string
  /** What `hf auth login` finds typed in. */
  token: string
}

/** A terminal in the project's folder. */
export class GuideShell {
  readonly #env: NodeJS.ProcessEnv

  constructor({ folder, hubUrl, token }: GuideShellOptions) {
    const [bin, home] = [join(folder, 'bin'), join(folder, 'huggingface')]
    for (const path of [bin, home]) mkdirSync(path, { recursive: true })
    // Hugging Face's tool asks for a token, checks it and keeps it in this file; the file is what our commands read.
    writeFileSync(
      join(bin, 'hf'),
      `#!/bin/sh\n[ "$1 $2" = "auth login" ] || exit 2\nprintf '%s' '${token}' > "$HF_HOME/token"\n`,
    )
    chmodSync(join(bin, 'hf'), 0o755)
    this.#env = cleanEnv({
      PATH: [bin, process.env['PATH'] ?? ''].join(delimiter),
      HF_HOME: home,
      HF_ENDPOINT: hubUrl,
      TABSWARM_DATA_DIR: join(folder, 'data'),
    })
  }

  /** Starts a block. `pasted`: the addresses that a reader puts in place of the examples', in order. */
  start(block: CodeBlock | undefined, pasted: readonly string[] = []): StartedProcess {
    if (block?.kind !== 'bash') throw new Error('not a block with commands')
    let next = 0
    const text = block.text
      .replaceAll(/\/ip4\/119\.59\.0\.14\/tcp\/\d+\/p2p\/12D3KooW\.\.\./g, () => pasted[next++] ?? 'nothing was pasted')
      .replaceAll('119.59.0.14', '127.0.0.1')
    return startProcess('bash', ['-c', text], { env: this.#env, cwd: REPO_ROOT, asGroup: true })
  }

  async run(block: CodeBlock | undefined, timeoutMs = 60_000): Promise<{ code: number | null; both: string[] }> {
    const started = this.start(block)
    const { code } = await started.exited(timeoutMs)
    return { code, both: started.both }
  }
}
