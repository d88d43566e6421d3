/** The `Range` header of one request, by RFC 9110: one byte range is served, a list of ranges is answered with the whole. */

export type RangeAnswer = { status: 200 } | { status: 206; begin: number; end: number } | { status: 416 }

/** `end` is exclusive. A header that is not a byte range is ignored, as the RFC asks. */
export function parseRange(header: string | undefined, sizeBytes: number): RangeAnswer {
  if (header === undefined) return { status: 200 }
  const match = /^bytes=(\d*)-(\d*)$/u.exec(header.trim())
  if (match === null) return { status: 200 }
  const [, first = '', last = ''] = match
  if (first === '' && last === '') return { status: 200 }
  if (first === '') {
    const length = Number(last)
    if (length === 0 || sizeBytes === 0) return { status: 416 }
    return { status: 206, begin: Math.max(0, sizeBytes - length), end: sizeBytes }
  }
  const begin = Number(first)
  const end = last === '' ? sizeBytes : Math.min(Number(last) + 1, sizeBytes)
  if (last !== '' && Number(last) < begin) return { status: 200 }
  if (!Number.isSafeInteger(begin) || begin >= sizeBytes) return { status: 416 }
  return { status: 206, begin, end }
}
