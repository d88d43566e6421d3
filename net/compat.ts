/**
 * Imported first by every Node entry point: libp2p 3 uses `Promise.withResolvers` and the global `WebSocket`, which
 * Node 20 does not have. Can go when Node 22 is the least supported version. A no-op in browsers.
 */
if (typeof Promise.withResolvers !== 'function') {
  Promise.withResolvers = function withResolvers<T>(): PromiseWithResolvers<T> {
    let resolve!: (value: T | PromiseLike<T>) => void
    let reject!: (reason?: unknown) => void
    const promise = new Promise<T>((onResolve, onReject) => {
      resolve = onResolve
      reject = onReject
    })
    return { promise, resolve, reject }
  }
}
export {}
