/**
 * Threads over one memory: the Worker that coordinates writes a job's numbers, wakes as many threads as the job is worth, does the
 * first part itself and sleeps until the others are done. Nobody spins. Parts are fixed ranges, in whole steps of eight rows or one
 * attention unit, and no kernel's bits depend on its range: so a result does not depend on the number of threads.
 *
 * A job at `job`: how many are not done yet, kind, parts, then the kernel's own numbers; from byte 128 on a word for each thread, 64
 * bytes apart, that goes up when it has something to do.
 */
import { attention } from './attention'
import { matMul } from './mat_mul'

const KIND: usize = 4
const PARTS: usize = 8
const NUMBERS: usize = 12
const WORDS: usize = 128

/** JOB_KINDS of web/wasm/threads.ts. */
const STOP: i32 = 0
const MAT_MUL_F32: i32 = 1
const MAT_MUL_F16: i32 = 2
const MAT_MUL_INT8: i32 = 3
const MAT_MUL_INT4: i32 = 4
const ATTENTION: i32 = 5

/** Rows of weights that are computed together: a part is whole steps of them. */
const ROW_STEP: i32 = 8

/** A thread's life: comes back when it is told to stop. `scratch`: its own room for unpacked weights or scores. */
export function serve(job: usize, index: i32, scratch: usize): void {
  const word = wordOf(job, index)
  for (let turn = 0; ; ) {
    while (atomic.load<i32>(word) == turn) atomic.wait<i32>(word, turn, -1)
    turn = atomic.load<i32>(word)
    if (load<i32>(job, KIND) == STOP) return
    runPart(job, index, scratch)
    if (atomic.sub<i32>(job, 1) == 1) atomic.notify(job, 1)
  }
}

/** Runs the job that is written at `job`; false when a thread was silent for `patienceNs`. */
export function share(job: usize, scratch: usize, patienceNs: i64): bool {
  const parts = load<i32>(job, PARTS)
  atomic.store<i32>(job, parts - 1)
  for (let index = 1; index < parts; index++) wake(job, index)
  runPart(job, 0, scratch)
  for (let left = atomic.load<i32>(job); left != 0; left = atomic.load<i32>(job)) {
    const isOver = atomic.wait<i32>(job, left, patienceNs) == AtomicWaitResult.TIMED_OUT
    if (isOver && atomic.load<i32>(job) == left) return false
  }
  return true
}

/** Ends `serve` of all threads below `threads`. */
export function stop(job: usize, threads: i32): void {
  store<i32>(job, STOP, KIND)
  for (let index = 1; index < threads; index++) wake(job, index)
}

@inline
function wordOf(job: usize, index: i32): usize {
  return job + WORDS + (<usize>index << 6)
}

function wake(job: usize, index: i32): void {
  const word = wordOf(job, index)
  atomic.add<i32>(word, 1)
  atomic.notify(word, 1)
}

@inline
function number(job: usize, i: i32): i32 {
  return load<i32>(job + NUMBERS + (<usize>i << 2))
}

@inline
function pointer(job: usize, i: i32): usize {
  return <usize>load<u32>(job + NUMBERS + (<usize>i << 2))
}

function runPart(job: usize, index: i32, scratch: usize): void {
  const parts = load<i32>(job, PARTS)
  switch (load<i32>(job, KIND)) {
    case MAT_MUL_F32:
      matMulPart<f32>(job, index, parts, scratch)
      break
    case MAT_MUL_F16:
      matMulPart<u16>(job, index, parts, scratch)
      break
    case MAT_MUL_INT8:
      matMulPart<i8>(job, index, parts, scratch)
      break
    case MAT_MUL_INT4:
      matMulPart<u8>(job, index, parts, scratch)
      break
    case ATTENTION:
      attentionPart(job, index, parts, scratch)
      break
  }
}

/** w, scales, x, y, rows of w, rows of x, groups, stride of y. */
function matMulPart<F>(job: usize, index: i32, parts: i32, scratch: usize): void {
  const rows = number(job, 4)
  const steps = (rows + ROW_STEP - 1) / ROW_STEP
  const first = min(rows, ((steps * index) / parts) * ROW_STEP)
  const end = min(rows, ((steps * (index + 1)) / parts) * ROW_STEP)
  matMul<F>(
    pointer(job, 0),
    pointer(job, 1),
    pointer(job, 2),
    pointer(job, 3),
    scratch,
    first,
    end,
    number(job, 5),
    number(job, 6),
    number(job, 7),
  )
}

/** q, k, v, out, units, position, heads, kvHeads, headDim, maxTokens, stride of out. */
function attentionPart(job: usize, index: i32, parts: i32, scratch: usize): void {
  const units = number(job, 4)
  attention(
    pointer(job, 0),
    pointer(job, 1),
    pointer(job, 2),
    pointer(job, 3),
    scratch,
    (units * index) / parts,
    (units * (index + 1)) / parts,
    number(job, 5),
    number(job, 6),
    number(job, 7),
    number(job, 8),
    number(job, 9),
    number(job, 10),
  )
}
