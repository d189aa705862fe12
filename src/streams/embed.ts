/**
 * Token ids → latents, by the frozen encoder.
 */
import { Effect, Stream } from "effect"
import { type EmbedError, Encoder } from "../model/Encoder.ts"
import type { EmbeddedSequence, LabelledSequence } from "./Sequence.ts"
import type { Stage } from "./Stage.ts"

/**
 * Which key each query of one row sees, 1 = sees, written into `out` `[S, S]`: the condition sees itself only, everything
 * else, padding too, sees all valid tokens; a row whose label is dropped hides its condition from the rest.
 * @source `encoder_utils.py`, `build_self_attn_cond_masks`; `train_step.py`, label drop
 */
const writeEncoderMask = (row: LabelledSequence, out: Float32Array): void => {
  const { conditionLength, ids: { length: positions }, labelDropped, length } = row
  for (let query = 0; query < positions; query++) {
    const first = query >= conditionLength && labelDropped ? conditionLength : 0
    const end = query < conditionLength ? conditionLength : length
    out.fill(1, query * positions + first, query * positions + end)
  }
}

/** A row without padding that is all condition or all text needs no mask. */
const isPlain = ({ conditionLength, ids, labelDropped, length }: LabelledSequence): boolean =>
  length === ids.length && (conditionLength === 0 || (conditionLength === length && !labelDropped))

/** The masks of rows of one length, `[B, S, S]`; absent when every token sees every token. */
export const encoderMask = (rows: ReadonlyArray<LabelledSequence>, positions: number): Float32Array | undefined => {
  if (rows.every(isPlain)) return undefined
  const masks = new Float32Array(rows.length * positions * positions)
  rows.forEach((row, i) => writeEncoderMask(row, masks.subarray(i * positions ** 2, (i + 1) * positions ** 2)))
  return masks
}

/** Latents of at least one row, all of one length, `[B, S, D]`. */
export const latentsOf = Effect.fnUntraced(function*(rows: ReadonlyArray<LabelledSequence>) {
  const encoder = yield* Encoder
  const length = rows[0]!.ids.length
  const ids = new Int32Array(rows.length * length)
  rows.forEach((row, i) => ids.set(row.ids, i * length))
  return yield* encoder.embed({ size: rows.length, length, ids, mask: encoderMask(rows, length) })
})

const embedRows = Effect.fnUntraced(function*(rows: ReadonlyArray<LabelledSequence>) {
  yield* Effect.yieldNow
  const encoder = yield* Encoder
  const latents = yield* latentsOf(rows)
  const length = rows[0]!.ids.length
  const rowSize = length * encoder.width
  return rows.map((row, i): EmbeddedSequence => ({ ...row, latents: latents.slice(i * rowSize, (i + 1) * rowSize) }))
})

/**
 * Adds latents `[S, D]` to each row. `batchSize` rows go through the encoder at once; a row's latents do not depend on
 * its neighbours. The latents are host arrays, so what follows may buffer.
 */
export const embed = (options: { readonly batchSize: number }): Stage<LabelledSequence, EmbeddedSequence, EmbedError, Encoder> =>
  <E0, R0>(upstream: Stream.Stream<LabelledSequence, E0, R0>) =>
    upstream.pipe(Stream.grouped(options.batchSize), Stream.mapEffect(embedRows), Stream.flattenIterable)
