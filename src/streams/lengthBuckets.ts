/**
 * Rows of different lengths side by side without much padding: a ladder of lengths, and the order that fills it.
 *
 * | length | 1 … 16 | 17 … 32 | 33 … 64 | 65 … 128 |
 * | ------ | ------ | ------- | ------- | -------- |
 * | rungs  | every  | every 2 | every 4 | every 8  |
 *
 * A row's rung follows from its own length alone, so what is computed for it cannot depend on its neighbours' lengths.
 *
 * @since 0.1.0
 */

/** The least rung that holds `length` ≥ 1, at most `maximum` ≥ `length`. Less than an eighth of it is padding. */
export const rungOf = (length: number, maximum: number): number => {
  const step = Math.max(1, 2 ** (Math.ceil(Math.log2(length)) - 4))
  return Math.min(maximum, Math.ceil(length / step) * step)
}

/** Positions 0 … n − 1 in the order of their lengths, longest first; equal lengths keep their order. */
export const byLength = (lengths: ReadonlyArray<number>): ReadonlyArray<number> =>
  Array.from(lengths.keys()).sort((a, b) => lengths[b]! - lengths[a]! || a - b)

/** Runs of positions whose lengths share a rung; empty ones (length 0) are left out. */
export const rungs = (lengths: ReadonlyArray<number>, maximum: number): ReadonlyMap<number, ReadonlyArray<number>> => {
  const found = new Map<number, Array<number>>()
  for (const [position, length] of lengths.entries()) {
    if (length === 0) continue
    const rung = rungOf(length, maximum)
    const positions = found.get(rung)
    if (positions === undefined) found.set(rung, [position])
    else positions.push(position)
  }
  return found
}

/** `elements`, `size` at a time; the last batch may be smaller. */
export const batchesOf = <A>(elements: ReadonlyArray<A>, size: number): ReadonlyArray<ReadonlyArray<A>> =>
  Array.from({ length: Math.ceil(elements.length / size) }, (_, i) => elements.slice(i * size, (i + 1) * size))

/**
 * `elements` in runs whose sizes are powers of two, the largest first: 11 as 8, 2 and 1.
 *
 * **Details** Tensor engines keep something for each shape that they meet: oneDNN, below libtensorflow, half a megabyte of
 * compiled code for each matrix product. Few sizes are few shapes.
 */
export const powerRuns = <A>(elements: ReadonlyArray<A>): ReadonlyArray<ReadonlyArray<A>> => {
  const runs: Array<ReadonlyArray<A>> = []
  for (let from = 0; from < elements.length;) {
    const size = 2 ** Math.floor(Math.log2(elements.length - from))
    runs.push(elements.slice(from, from += size))
  }
  return runs
}
