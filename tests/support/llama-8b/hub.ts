/** A stand-in hub that serves the checkpoint of `checkpoint.ts`, its bytes made as they are asked for, and counts them. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { fillElements, LLAMA_8B_CONFIG, llama8bShards, type Shard } from './checkpoint.ts'

export const REPO = 'stand-in/Llama-3.1-8B'
const COMMIT = '8'.repeat(40)
/** Made and written at once. */
const PIECE_BYTES = 1024 * 1024

export interface SyntheticHub {
  url: string
  /** Bytes of tensors that were sent. */
  tensorBytes(): number
  close(): Promise<void>
}

export async function startSyntheticHub(): Promise<SyntheticHub> {
  const shards = new Map(llama8bShards().map((shard) => [shard.file, shard]))
  const index = {
    metadata: { total_size: [...shards.values()].reduce((sum, shard) => sum + shard.bytes - shard.header.length, 0) },
    weight_map: Object.fromEntries(
      [...shards.values()].flatMap(({ file, tensors }) => tensors.map(({ spec }) => [spec.name, file])),
    ),
  }
  const texts = new Map([
    ['config.json', JSON.stringify(LLAMA_8B_CONFIG)],
    ['model.safetensors.index.json', JSON.stringify(index)],
  ])
  let sent = 0

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    response.setHeader('Access-Control-Allow-Origin', '*')
    response.setHeader('Access-Control-Expose-Headers', 'Content-Range,ETag,X-Repo-Commit')
    response.setHeader('Cross-Origin-Resource-Policy', 'cross-origin')
    const path = decodeURIComponent(new URL(request.url ?? '/', 'http://hub').pathname)
    const json = (value: unknown): void => {
      response.setHeader('Content-Type', 'application/json')
      response.end(JSON.stringify(value))
    }
    if (path.startsWith(`/api/models/${REPO}/revision/`)) return json(infoOf([...texts.keys(), ...shards.keys()]))
    if (path.startsWith(`/api/models/${REPO}/tree/`)) {
      const file = (name: string, size: number): object => ({ type: 'file', path: name, size, oid: COMMIT })
      return json([
        ...[...texts].map(([name, text]) => file(name, text.length)),
        ...[...shards.values()].map((shard) => file(shard.file, shard.bytes)),
      ])
    }
    const name = path.startsWith(`/${REPO}/resolve/`) ? (path.split('/').at(-1) ?? '') : ''
    const text = texts.get(name)
    if (text !== undefined) return void response.end(text)
    const shard = shards.get(name)
    const range = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '')
    if (shard === undefined || range === null) return void response.writeHead(404).end()
    const [begin, end] = [Number(range[1]), Number(range[2]) + 1]
    response.writeHead(206, {
      'Content-Range': `bytes ${begin}-${end - 1}/${shard.bytes}`,
      'Content-Length': end - begin,
      ETag: `"${shard.file}"`,
    })
    for (const piece of pieces(shard, begin, end)) {
      if (response.destroyed) return
      if (piece.isTensor) sent += piece.bytes.length
      if (!response.write(piece.bytes)) await new Promise<void>((resolve) => onceRoom(response, resolve))
    }
    response.end()
  }

  const server = createServer((request, response) => {
    answer(request, response).catch((error: unknown) => {
      response.destroy(error instanceof Error ? error : new Error(String(error)))
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    tensorBytes: () => sent,
    close: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

function infoOf(files: readonly string[]): object {
  return {
    _id: '0',
    id: REPO,
    modelId: REPO,
    sha: COMMIT,
    private: false,
    gated: false,
    siblings: files.map((rfilename) => ({ rfilename })),
    lastModified: new Date(0).toISOString(),
  }
}

function onceRoom(response: ServerResponse, resolve: () => void): void {
  const done = (): void => {
    response.off('drain', done)
    response.off('close', done)
    resolve()
  }
  response.on('drain', done)
  response.on('close', done)
}

/** Each made when the one before was sent. */
function* pieces(shard: Shard, begin: number, end: number): Generator<{ bytes: Uint8Array; isTensor: boolean }> {
  const { header, tensors } = shard
  if (begin < header.length) yield { bytes: header.subarray(begin, Math.min(end, header.length)), isTensor: false }
  for (const tensor of tensors) {
    for (let at = Math.max(begin, tensor.begin); at < Math.min(end, tensor.end);) {
      const elements = new Uint16Array((Math.min(end, tensor.end, at + PIECE_BYTES) - at) / 2)
      fillElements(tensor.spec, (at - tensor.begin) / 2, elements)
      yield { bytes: new Uint8Array(elements.buffer), isTensor: true }
      at += elements.byteLength
    }
  }
}
