/** The same kernels over a memory that threads share. A module of its own: whether a memory is shared is part of its type. */
export * from './index'
export { serve, share, stop } from './threads'
