/** Enough of ONNX's protobuf to write a graph: messages as lists of chunks, so that weights of hundreds of megabytes are copied once. */

export type Chunks = Uint8Array[]

const lengthOf = (chunks: Chunks): number => chunks.reduce((sum, chunk) => sum + chunk.length, 0)

function varint(value: number): Uint8Array {
  const bytes: number[] = []
  let left = value
  while (left >= 128) {
    bytes.push((left % 128) | 128)
    left = Math.floor(left / 128)
  }
  bytes.push(left)
  return Uint8Array.from(bytes)
}

const int = (field: number, value: number): Chunks => [varint(field * 8), varint(value)]
const nested = (field: number, content: Chunks): Chunks => [
  varint(field * 8 + 2),
  varint(lengthOf(content)),
  ...content,
]
const text = (field: number, value: string): Chunks => nested(field, [new TextEncoder().encode(value)])
const float = (field: number, value: number): Chunks => [
  varint(field * 8 + 5),
  new Uint8Array(Float32Array.of(value).buffer),
]

export const FLOAT = 1
export const UINT8 = 2
export const INT32 = 6

export interface OnnxTensor {
  name: string
  type: number
  dims: readonly number[]
  bytes: Uint8Array
}

/** A dimension by name is not fixed. */
export interface OnnxValue {
  name: string
  type: number
  dims: readonly (number | string)[]
}

export interface OnnxNode {
  op: string
  inputs: readonly string[]
  outputs: readonly string[]
  /** Of onnxruntime's own operators. */
  contrib?: boolean
  ints?: Record<string, number>
  floats?: Record<string, number>
}

export interface OnnxGraph {
  nodes: readonly OnnxNode[]
  initializers: readonly OnnxTensor[]
  inputs: readonly OnnxValue[]
  outputs: readonly OnnxValue[]
}

/** The bytes of a model file. */
export function onnxModel(graph: OnnxGraph): Uint8Array<ArrayBuffer> {
  const content = [
    ...graph.nodes.flatMap((node, i) => nested(1, nodeOf(node, i))),
    ...text(2, 'block'),
    ...graph.initializers.flatMap((tensor) => nested(5, tensorOf(tensor))),
    ...graph.inputs.flatMap((value) => nested(11, valueOf(value))),
    ...graph.outputs.flatMap((value) => nested(12, valueOf(value))),
  ]
  const opset = (domain: string, version: number): Chunks => nested(8, [...text(1, domain), ...int(2, version)])
  const chunks = [...int(1, 8), ...nested(7, content), ...opset('', 17), ...opset('com.microsoft', 1)]
  const out = new Uint8Array(lengthOf(chunks))
  let at = 0
  for (const chunk of chunks) {
    out.set(chunk, at)
    at += chunk.length
  }
  return out
}

function nodeOf({ op, inputs, outputs, contrib, ints = {}, floats = {} }: OnnxNode, index: number): Chunks {
  return [
    ...inputs.flatMap((name) => text(1, name)),
    ...outputs.flatMap((name) => text(2, name)),
    ...text(3, `${op} ${index}`),
    ...text(4, op),
    ...Object.entries(ints).flatMap(([name, value]) => nested(5, [...text(1, name), ...int(3, value), ...int(20, 2)])),
    ...Object.entries(floats).flatMap(([name, value]) =>
      nested(5, [...text(1, name), ...float(2, value), ...int(20, 1)]),
    ),
    ...(contrib === true ? text(7, 'com.microsoft') : []),
  ]
}

function tensorOf({ name, type, dims, bytes }: OnnxTensor): Chunks {
  return [...dims.flatMap((dim) => int(1, dim)), ...int(2, type), ...text(8, name), ...nested(9, [bytes])]
}

function valueOf({ name, type, dims }: OnnxValue): Chunks {
  const shape = dims.flatMap((dim) => nested(1, typeof dim === 'number' ? int(1, dim) : text(2, dim)))
  return [...text(1, name), ...nested(2, nested(1, [...int(1, type), ...nested(2, shape)]))]
}
