/**
 * The Hugging Face token where `hf auth login` keeps it. It goes only to the hub (in this process) and into the memory of
 * this process's own headless tabs; never into a file, a URL, a log line or a relay's config.
 */
import { readFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'

/** In the order of the hub's own tools: the variable, the file it names, the file in HF_HOME, the file at home. */
export function findHubToken(env: NodeJS.ProcessEnv = process.env, home: string = homedir()): string | null {
  const direct = clean(env['HF_TOKEN']) ?? clean(env['HUGGING_FACE_HUB_TOKEN'])
  if (direct !== null) return direct
  // An empty variable counts as none.
  const cache = env['XDG_CACHE_HOME'] || join(home, '.cache')
  return readToken(env['HF_TOKEN_PATH'] || join(env['HF_HOME'] || join(cache, 'huggingface'), 'token'))
}

/** The environment for a process that has no business with the hub's token. */
export function withoutHubToken(env: NodeJS.ProcessEnv = process.env): Record<string, string> {
  const kept = Object.entries(env).filter(([name]) => name !== 'HF_TOKEN' && name !== 'HUGGING_FACE_HUB_TOKEN')
  return Object.fromEntries(kept.filter((entry): entry is [string, string] => entry[1] !== undefined))
}

function readToken(file: string): string | null {
  try {
    return clean(readFileSync(file, 'utf8'))
  } catch {
    // No file: nobody has signed in, which is fine for open models.
    return null
  }
}

function clean(text: string | undefined): string | null {
  const token = (text ?? '').trim()
  return token === '' ? null : token
}
