/** Rule 14: counts elements that are not finite. The safetensors format does not forbid them. */
import type { TensorDtype } from '../../swarm/model/tensors.ts'

/** `bytes` holds whole little-endian elements. */
export function countNotFinite(dtype: TensorDtype, bytes: Uint8Array): number {
  const aligned = bytes.byteOffset % 4 === 0 ? bytes : bytes.slice()
  switch (dtype) {
    case 'F32':
      return countExponent(new Uint32Array(aligned.buffer, aligned.byteOffset, aligned.length / 4), 0x7f800000)
    case 'F16':
      return countExponent(new Uint16Array(aligned.buffer, aligned.byteOffset, aligned.length / 2), 0x7c00)
    case 'BF16':
      return countExponent(new Uint16Array(aligned.buffer, aligned.byteOffset, aligned.length / 2), 0x7f80)
  }
}

/** An exponent of all ones is an infinity or NaN in each of the three. */
function countExponent(words: Uint16Array | Uint32Array, exponent: number): number {
  let count = 0
  for (const word of words) if ((word & exponent) === exponent) count += 1
  return count
}
