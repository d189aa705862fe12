/**
 * Lists of whole numbers as token ids.
 *
 * @since 0.1.0
 */

const isSmall = (values: Int32Array): boolean => {
  for (const value of values) if (value < 0) return false
  return true
}

/** Pairs of 32 bits, the lower ones first: the numbers of 64 bits whose upper half is 0. */
const lowerHalves = (halves: Int32Array): Int32Array | undefined => {
  const ids = new Int32Array(halves.length / 2)
  for (let i = 0; i < ids.length; i++) {
    const id = halves[2 * i]!
    if (id < 0 || halves[2 * i + 1] !== 0) return undefined
    ids[i] = id
  }
  return ids
}

const isId = (value: unknown): boolean => (typeof value === "number" || typeof value === "bigint") && value >= 0 && value < 2 ** 31

/** The ids of a list; undefined unless all are whole numbers in [0, 2³¹). */
export const toIds = (list: ArrayLike<unknown>): Int32Array | undefined => {
  if (list instanceof Int32Array) return isSmall(list) ? list : undefined
  if (list instanceof BigInt64Array || list instanceof BigUint64Array) {
    return lowerHalves(new Int32Array(list.buffer, list.byteOffset, list.length * 2))
  }
  return Array.prototype.every.call(list, isId) ? Int32Array.from(list as ArrayLike<number>, Number) : undefined
}

/** The first element that is no token id. */
export const misfit = (list: ArrayLike<unknown>): unknown => Array.prototype.find.call(list, (value) => !isId(value))
