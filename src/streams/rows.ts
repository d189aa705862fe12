/**
 * Rows of a batch's flat arrays.
 */
import type { NoisyBatch } from "./corrupt.ts"

/** The given rows of an array with `size` values a row, one after the other. */
export const rowsOf = (data: Float32Array, rows: ReadonlyArray<number>, size: number): Float32Array => {
  const out = new Float32Array(rows.length * size)
  rows.forEach((row, i) => out.set(data.subarray(row * size, (row + 1) * size), i * size))
  return out
}

/** Clean latents at the condition of the rows that `has` names, zeros elsewhere. `[B, S, D]` */
export const conditionOnly = ({ clean, conditionMask, length, width }: NoisyBatch, has: (row: number) => boolean): Float32Array => {
  const half = new Float32Array(clean.length)
  conditionMask.forEach((condition, token) => {
    if (condition === 0 || !has(Math.floor(token / length))) return
    half.set(clean.subarray(token * width, (token + 1) * width), token * width)
  })
  return half
}

/** The rows whose flag is `value`. */
export const flagged = (flags: Uint8Array, value: 0 | 1): ReadonlyArray<number> => Array.from(flags.keys()).filter((row) => flags[row] === value)
