/** An origin private file system in memory, as far as the weight cache uses it: one level of folders, whole-file writes. */

export class FakeFolder {
  readonly folders = new Map<string, FakeFolder>()
  readonly files = new Map<string, Uint8Array>()
  /** Files that the browser refuses to delete. */
  readonly stuck = new Set<string>()
  /** How many more openings for writing find the file locked by another tab. */
  readonly held = new Map<string, number>()
  readonly #quota: { left: number }
  readonly #handles: 'writable' | 'exclusive'

  /** With 'exclusive' files have only `createSyncAccessHandle`, as in engines without `createWritable`. */
  constructor(quota: { left: number } = { left: Infinity }, handles: 'writable' | 'exclusive' = 'writable') {
    this.#quota = quota
    this.#handles = handles
  }

  async getDirectoryHandle(name: string, options: { create?: boolean } = {}): Promise<FakeFolder> {
    const found = this.folders.get(name)
    if (found !== undefined) return found
    if (options.create !== true) throw new DOMException(name, 'NotFoundError')
    const folder = new FakeFolder(this.#quota, this.#handles)
    this.folders.set(name, folder)
    return folder
  }

  async getFileHandle(name: string, options: { create?: boolean } = {}): Promise<object> {
    if (/[/\\]/.test(name)) throw new TypeError(`${name} is not a name`)
    if (!this.files.has(name)) {
      if (options.create !== true) throw new DOMException(name, 'NotFoundError')
      this.files.set(name, new Uint8Array(0))
    }
    const getFile = async (): Promise<Blob> =>
      new Blob([(this.files.get(name) ?? new Uint8Array(0)) as Uint8Array<ArrayBuffer>])
    const opened = async (handle: () => object): Promise<object> => {
      const held = this.held.get(name) ?? 0
      this.held.set(name, held - 1)
      if (held > 0) throw new DOMException(`${name} is open`, 'NoModificationAllowedError')
      return handle()
    }
    if (this.#handles === 'exclusive')
      return { getFile, createSyncAccessHandle: () => opened(() => this.#exclusive(name)) }
    return { getFile, createWritable: () => opened(() => this.#writable(name)) }
  }

  async removeEntry(name: string): Promise<void> {
    if (this.stuck.has(name)) throw new DOMException(`${name} is open`, 'NoModificationAllowedError')
    if (!this.files.delete(name) && !this.folders.delete(name)) throw new DOMException(name, 'NotFoundError')
  }

  async *keys(): AsyncGenerator<string> {
    yield* [...this.folders.keys(), ...this.files.keys()]
  }

  #exclusive(name: string): object {
    let content: Uint8Array = this.files.get(name) ?? new Uint8Array(0)
    return {
      truncate: (size: number) => {
        content = content.slice(0, size)
      },
      write: (part: Uint8Array, { at }: { at: number }) => {
        content = Buffer.concat([content.slice(0, at), part])
        return part.length
      },
      flush: () => this.files.set(name, content),
      close: () => undefined,
    }
  }

  #writable(name: string): object {
    const parts: Uint8Array[] = []
    return {
      write: async (part: Uint8Array) => {
        if (part.length > this.#quota.left) throw new DOMException('no room', 'QuotaExceededError')
        this.#quota.left -= part.length
        parts.push(part.slice())
      },
      close: async () => {
        this.files.set(name, Buffer.concat(parts))
      },
      abort: async () => undefined,
    }
  }
}

/** As the cache's `root` option. */
export function asRoot(folder: FakeFolder): () => Promise<FileSystemDirectoryHandle> {
  return async () => folder as unknown as FileSystemDirectoryHandle
}
