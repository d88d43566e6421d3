/** Runs the rows where the engine runs: in a dedicated Worker, which may wait and has threads of its own. */
import { adapter, ROWS } from './rows.ts'

globalThis.addEventListener('message', ({ data: id }: MessageEvent<string>) => {
  const make = ROWS[id]
  const work = id === 'adapter' ? adapter() : make === undefined ? Promise.reject(new Error(`no row ${id}`)) : make(id)
  work.then(
    (result) => postMessage({ result }),
    (error: unknown) => postMessage({ error: error instanceof Error ? error.message : String(error) }),
  )
})
