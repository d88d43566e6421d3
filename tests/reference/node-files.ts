/** `ReadFile` over the repository's working tree, for tests in Node. */
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import type { ReadFile } from './model-files.ts'

export const REPOSITORY_ROOT = fileURLToPath(new URL('../..', import.meta.url))

export const readRepositoryFile: ReadFile = async (path) => {
  try {
    // Not as a Buffer: its slice() does not copy.
    return new Uint8Array(await readFile(new URL(`../../${path}`, import.meta.url)))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null
    throw error
  }
}
