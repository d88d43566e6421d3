/** What the WebAssembly backend cannot, for whoever plans with it; without the kernels themselves. */

export const WASM_PAGE_BYTES = 64 * 1024
/** Of pointers with 32 bits, less a page so that an end is a pointer too: what one span may take, all included. */
export const MOST_WASM_BYTES = 2 ** 32 - WASM_PAGE_BYTES
/** So many rows of weights does `mat_mul` unpack at once. */
export const UNPACKED_ROWS = 8
