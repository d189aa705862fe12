/**
 * Recorded draws: a random source that repeats what another implementation drew.
 *
 * @since 0.1.0
 */
import { RecordedDrawError } from "./errors.ts"
import type { DrawKey, RandomSource } from "./RandomSource.ts"

/** Values recorded for one purpose, and where the draw of a key starts among them. */
export interface Recording {
  readonly values: Float32Array
  /** Offset of the first value for `key`; `index · length` (one row an index) when absent. */
  readonly offset?: (key: DrawKey, length: number) => number
}

/** Stands for the record of an unknown purpose; told apart by identity from a record without values. */
const nothing = new Float32Array(0)

const rowMajor = ({ index }: DrawKey, length: number): number => index * length

/** The rule for a record laid out `[steps, rows, length]`. */
export const stepMajor = (rows: number) => ({ index, step = 0 }: DrawKey, length: number): number =>
  (step * rows + index) * length

/**
 * Replays recorded draws, normal or uniform alike, purpose by purpose: for parity with another implementation.
 * Throws `RecordedDrawError` on an unknown purpose and past a record's end; it never repeats or invents a value.
 */
export const recorded = (recordings: Readonly<Record<string, Float32Array | Recording>>): RandomSource => {
  const find = (purpose: string): Recording => {
    const found = Object.hasOwn(recordings, purpose) ? recordings[purpose]! : nothing
    return ArrayBuffer.isView(found) ? { values: found } : found
  }
  const replay = (key: DrawKey, length: number): Float32Array => {
    const { offset = rowMajor, values } = find(key.purpose)
    const start = offset(key, length)
    if (values !== nothing && start >= 0 && start + length <= values.length) return values.slice(start, start + length)
    throw new RecordedDrawError({
      purpose: key.purpose,
      index: key.index,
      step: key.step ?? 0,
      offset: start,
      length,
      available: values.length,
      purposes: Object.keys(recordings)
    })
  }
  const normal: RandomSource["normal"] = (key, length, out) => {
    const values = replay(key, length)
    out?.set(values)
    return out ?? values
  }
  return { normal, uniform: replay }
}
