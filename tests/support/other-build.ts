/**
 * A second, real build of the project that speaks the next major version of the protocol: a copy of the sources with that one
 * number changed, built as anybody builds it.
 */
import { cpSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { cleanEnv, makeTempDir, REPO_ROOT, removeTempDir, startProcess, type StartedProcess } from './processes.ts'

const COPIED = ['cli', 'hub', 'models', 'net', 'relay', 'session', 'shaders', 'swarm', 'wasm', 'web']
const COPIED_FILES = ['package.json', 'package-lock.json', 'tsconfig.json', 'vite.config.ts']
const OWN = 'export const PROTOCOL_MAJOR = 1\n'
const NEXT = 'export const PROTOCOL_MAJOR = 2\n'

export interface OtherBuild {
  /** Starts its `tabswarm ARGS…`. */
  start(args: readonly string[], dataDir: string): StartedProcess
  remove(): void
}

/** Takes some seconds: two builds. */
export async function buildNextMajor(): Promise<OtherBuild> {
  const root = makeTempDir('next-major')
  for (const name of [...COPIED, ...COPIED_FILES]) cpSync(join(REPO_ROOT, name), join(root, name), { recursive: true })
  symlinkSync(join(REPO_ROOT, 'node_modules'), join(root, 'node_modules'))
  const path = join(root, 'swarm/protocol.ts')
  const source = readFileSync(path, 'utf8')
  if (!source.includes(OWN)) throw new Error(`swarm/protocol.ts has no line "${OWN.trim()}"`)
  writeFileSync(path, source.replace(OWN, NEXT))
  const building = startProcess(process.execPath, ['cli/setup/build.mjs'], { env: cleanEnv(), cwd: root })
  const { code } = await building.exited(120_000)
  if (code !== 0) throw new Error(`the other build failed:\n${building.both.join('\n')}`)
  return {
    start: (args, dataDir) =>
      startProcess(process.execPath, [join(root, 'cli/tabswarm.mjs'), ...args], {
        env: cleanEnv({ TABSWARM_DATA_DIR: dataDir, TABSWARM_SETUP: 'skip' }),
        cwd: root,
      }),
    remove: () => removeTempDir(root),
  }
}
