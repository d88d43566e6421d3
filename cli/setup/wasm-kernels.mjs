/**
 * Build step: `import bytes from 'virtual:wasm-kernels'` gives the module that AssemblyScript makes of `wasm/`, in every build and
 * in tests, and `virtual:wasm-kernels-shared` the one for a memory that threads share. Its bytes are part of the chunk that asks for them: some ten kilobytes, no file of their own to find or to miss.
 */
import { readdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const ROOT = dirname(dirname(dirname(fileURLToPath(import.meta.url))))

/** Whether a memory is shared is part of its type; such a type has a limit, the last page that pointers of 32 bits reach. */
const MODULES = new Map([
  ['virtual:wasm-kernels', ['wasm/index.ts']],
  [
    'virtual:wasm-kernels-shared',
    ['wasm/shared.ts', '--enable', 'threads', '--sharedMemory', '--maximumMemory', '65535'],
  ],
])

/** Memory comes from outside and is all there is: no allocator, no collector, no checks of what is not there. */
const COMPILER_OPTIONS = ['-O3', '--runtime', 'stub', '--importMemory', '--noExportMemory', '--noAssert']

export function wasmKernels() {
  /** @type {Map<string, Promise<Uint8Array>>} */
  const compiled = new Map()
  return {
    name: 'tabswarm:wasm-kernels',
    /** @param {string} id */
    resolveId: (id) => (MODULES.has(id) ? `\0${id}` : null),
    /**
     * @this {{ addWatchFile(path: string): void }}
     * @param {string} id
     */
    async load(id) {
      const name = id.slice(1)
      const inputs = id.startsWith('\0') ? MODULES.get(name) : undefined
      if (inputs === undefined) return null
      const sources = readdirSync(join(ROOT, 'wasm')).filter((file) => file.endsWith('.ts'))
      for (const file of sources) this.addWatchFile(join(ROOT, 'wasm', file))
      const compiling = compiled.get(name) ?? compile(inputs)
      compiled.set(name, compiling)
      const base64 = Buffer.from(await compiling).toString('base64')
      return `export default Uint8Array.from(atob('${base64}'), (byte) => byte.charCodeAt(0))`
    },
  }
}

/**
 * @param {readonly string[]} inputs
 * @throws Error with the compiler's own words
 */
async function compile(inputs) {
  const { default: asc } = await import('assemblyscript/asc').catch((cause) => {
    throw new Error('The compiler of wasm/ (assemblyscript) is not installed: run npm ci, then build again.', { cause })
  })
  /** @type {Uint8Array | null} */
  let binary = null
  const output = asc.createMemoryStream()
  const { error } = await asc.main(
    [...inputs, '--baseDir', ROOT, '--outFile', 'kernels.wasm', '--enable', 'simd', ...COMPILER_OPTIONS],
    {
      stdout: output,
      stderr: output,
      writeFile: (_name, contents) => {
        binary = typeof contents === 'string' ? null : contents
      },
    },
  )
  if (error !== null || binary === null) {
    throw new Error(`wasm/ does not compile: ${error?.message ?? 'no binary was written'}\n${output.toString()}`)
  }
  return /** @type {Uint8Array} */ (binary)
}
