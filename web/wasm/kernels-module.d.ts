/** What cli/setup/wasm-kernels.mjs makes of `wasm/` at build time. */
declare module 'virtual:wasm-kernels' {
  const bytes: Uint8Array<ArrayBuffer>
  export default bytes
}

/** The same for a memory that threads share. */
declare module 'virtual:wasm-kernels-shared' {
  const bytes: Uint8Array<ArrayBuffer>
  export default bytes
}
