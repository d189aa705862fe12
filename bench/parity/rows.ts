/** Rows and halves of flat arrays. */

/** Row `index` of rows of `length`. */
export const rowAt = <T extends Float32Array | Int32Array>(values: T, index: number, length: number): T =>
  values.subarray(index * length, (index + 1) * length) as T

/** All rows of `[B, S]` ids. */
export const rowsOf = (ids: Int32Array, length: number): ReadonlyArray<Int32Array> =>
  Array.from({ length: ids.length / length }, (_, row) => ids.slice(row * length, (row + 1) * length))

/** What two halves joined along the channels hold. */
export const splitHalves = (joined: Float32Array, width: number): readonly [Float32Array, Float32Array] => {
  const half = (offset: number) => joined.filter((_, i) => Math.floor(i / width) % 2 === offset)
  return [half(0), half(1)]
}

/** The rows of `values` whose flag is `flag`. */
export const rowsWhere = (values: Float32Array, flags: Uint8Array, flag: 0 | 1): Float32Array => {
  const size = values.length / flags.length
  return values.filter((_, i) => flags[Math.floor(i / size)] === flag)
}

export const total = (values: Iterable<number>): number => Array.from(values).reduce((a, b) => a + b, 0)

/** How many positions of each row a mask `[B, S]` marks. */
export const lengthsOf = (mask: Float32Array, length: number): ReadonlyArray<number> =>
  Array.from({ length: mask.length / length }, (_, row) => total(rowAt(mask, row, length)))
