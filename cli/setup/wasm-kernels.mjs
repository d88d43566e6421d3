/**
 * Build step: `import bytes from 'virtual:wasm-kernels'` gives the module that AssemblyScript makes of `wasm/`, in every build and
 * in tests. Its bytes are part of the chunk that asks for them: some ten kilobytes, no file of their own to find or to miss.
 */
import { readdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const ROOT = dirname(dirname(dirname(fileURLToPath(import.meta.url))))
const ID = 'virtual:wasm-kernels'

/** Memory comes from outside and is all there is: no allocator, no collector, no checks of what is not there. */
const COMPILER_OPTIONS = ['-O3', '--runtime', 'stub', '--importMemory', '--noExportMemory', '--noAssert']

export function wasmKernels() {
  /** @type {Promise<Uint8Array> | null} */
  let compiled = null
  return {
    name: 'tabswarm:wasm-kernels',
    /** @param {string} id */
    resolveId: (id) => (id === ID ? `\0${ID}` : null),
    /**
     * @this {{ addWatchFile(path: string): void }}
     * @param {string} id
     */
    async load(id) {
      if (id !== `\0${ID}`) return null
      const sources = readdirSync(join(ROOT, 'wasm')).filter((name) => name.endsWith('.ts'))
      for (const name of sources) this.addWatchFile(join(ROOT, 'wasm', name))
      compiled ??= compile()
      const base64 = Buffer.from(await compiled).toString('base64')
      return `export default Uint8Array.from(atob('${base64}'), (byte) => byte.charCodeAt(0))`
    },
  }
}

/** @throws Error with the compiler's own words */
async function compile() {
  const { default: asc } = await import('assemblyscript/asc').catch((cause) => {
    throw new Error('The compiler of wasm/ (assemblyscript) is not installed: run npm ci, then build again.', { cause })
  })
  /** @type {Uint8Array | null} */
  let binary = null
  const output = asc.createMemoryStream()
  const { error } = await asc.main(
    ['wasm/index.ts', '--baseDir', ROOT, '--outFile', 'kernels.wasm', '--enable', 'simd', ...COMPILER_OPTIONS],
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
