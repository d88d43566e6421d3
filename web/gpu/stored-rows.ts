/** Rows of a weight matrix in the bytes of the GPU; made by `engine/quantize.ts`, described in `shaders/weights_*.wgsl`. */
export interface StoredRows {
  /** Rows of `rowBytes(width, format)` each. */
  weights: Uint8Array<ArrayBuffer>
  /** Rows of `scaleBytes(width, format)` each; empty for formats without. */
  scales: Uint8Array<ArrayBuffer>
}
