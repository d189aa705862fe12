/**
 * The latents of conditions, each embedded at about its own length instead of the network's: a condition sees itself
 * only, so nothing behind it can matter.
 */
import { Effect } from "effect"
import { type EmbedError, Encoder } from "../model/Encoder.ts"
import { latentsOf } from "./embed.ts"
import { rungOf, rungs } from "./lengthBuckets.ts"
import type { LabelledSequence } from "./Sequence.ts"

const conditionRow = (ids: Int32Array, positions: number, padId: number): LabelledSequence => {
  const padded = new Int32Array(positions).fill(padId)
  padded.set(ids)
  return { ids: padded, length: ids.length, conditionLength: ids.length, index: 0, labelDropped: false }
}

/** Positions that the encoder is given for a condition of `length` tokens, of a network with `maximum` positions. */
export const encodedPositions = (length: number, maximum: number): number => length === 0 ? 0 : rungOf(length, maximum)

/**
 * Latents of each condition of at most `length` tokens, `[B, S, D]` with S = `length`: zero behind the condition. Rungs end
 * at `maximum`, by default `length`.
 *
 * **Details** Conditions whose lengths share a rung go through the encoder together; the rung follows from a condition's
 * own length, so its latents do not depend on the others.
 */
export const conditionLatents = Effect.fnUntraced(function*(
  conditions: ReadonlyArray<Int32Array>,
  length: number,
  padId: number,
  maximum: number = length
): Effect.fn.Return<Float32Array, EmbedError, Encoder> {
  const { width } = yield* Encoder
  const latents = new Float32Array(conditions.length * length * width)
  for (const [positions, rows] of rungs(conditions.map((ids) => ids.length), maximum)) {
    const embedded = yield* latentsOf(rows.map((row) => conditionRow(conditions[row]!, positions, padId)))
    rows.forEach((row, i) => {
      const from = i * positions * width
      latents.set(embedded.subarray(from, from + conditions[row]!.length * width), row * length * width)
    })
  }
  return latents
})
