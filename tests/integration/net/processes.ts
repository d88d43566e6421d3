/** Bundles `donor-process.ts` once and starts it as often as a test asks. */
import { spawn, type ChildProcess } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { build } from 'vite'
import { patchWebrtcDial } from '../../../net/build/patch-webrtc-dial.ts'

const ROOT = fileURLToPath(new URL('../../..', import.meta.url))
let bundled: Promise<string> | null = null

export interface DonorProcess {
  child: ChildProcess
  peerId: string
  exited: Promise<number | null>
  output: () => string
}

export async function startDonorProcess(
  relays: readonly string[],
  span: { start: number; end: number },
  options: { directory?: 'on' | 'off'; clockOffsetMs?: number } = {},
): Promise<DonorProcess> {
  bundled ??= bundle()
  const { directory = 'on', clockOffsetMs = 0 } = options
  const clock = clockOffsetMs === 0 ? [] : ['--import', wrongClock(clockOffsetMs)]
  const args = [...clock, await bundled, relays.join(','), String(span.start), String(span.end), directory]
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  let errors = ''
  child.stderr.on('data', (data: Buffer) => (errors += data.toString()))
  const exited = new Promise<number | null>((resolve) => child.on('exit', (code) => resolve(code)))
  const peerId = await new Promise<string>((resolve, reject) => {
    child.stdout.on('data', (data: Buffer) => {
      output += data.toString()
      const line = output.split('\n')[0] ?? ''
      if (output.includes('\n')) resolve(line)
    })
    void exited.then((code) => reject(new Error(`the donor process ended with ${code}: ${errors}`)))
  })
  return { child, peerId, exited, output: () => output }
}

/** A module that sets every clock of the process off. */
function wrongClock(offsetMs: number): string {
  const code = `const D = Date; globalThis.Date = class extends D {
    constructor(...a) { if (a.length === 0) super(D.now() + ${offsetMs}); else super(...a) }
    static now() { return D.now() + ${offsetMs} }
  }`
  return `data:text/javascript,${encodeURIComponent(code)}`
}

/** Each test file has a bundle of its own: files may run at the same time. */
async function bundle(): Promise<string> {
  const outDir = `${ROOT}/node_modules/.cache/tabswarm-tests/donor-${process.pid}`
  await build({
    configFile: false,
    root: ROOT,
    logLevel: 'error',
    plugins: [patchWebrtcDial()],
    ssr: { noExternal: ['@libp2p/webrtc'] },
    build: {
      ssr: 'tests/integration/net/donor-process.ts',
      outDir,
      emptyOutDir: true,
      target: 'node20',
      rollupOptions: { output: { entryFileNames: 'donor.mjs' } },
    },
  })
  return `${outDir}/donor.mjs`
}
