/**
 * Rows with latents → batches.
 *
 * @since 0.1.0
 */
import { Effect, Stream } from "effect"
import { requireArgument } from "../flow/errors.ts"
import { BatchShapeError } from "./errors.ts"
import type { EmbeddedSequence, LatentBatch } from "./Sequence.ts"
import type { Stage } from "./Stage.ts"

type Shape = readonly [length: number, width: number]

interface Pending {
  /** Shape of the first row of the stream; all others must share it. */
  readonly shape: Shape | undefined
  readonly rows: ReadonlyArray<EmbeddedSequence>
}

const shapeOf = ({ ids, latents }: EmbeddedSequence): Shape => [ids.length, latents.length / ids.length]

/** Copies rows of one shape next to each other. At least one row. */
export const collate = (rows: ReadonlyArray<EmbeddedSequence>): LatentBatch => {
  const size = rows.length
  const [length, width] = shapeOf(rows[0]!)
  const batch = {
    size,
    length,
    width,
    ids: new Int32Array(size * length),
    latents: new Float32Array(size * length * width),
    attentionMask: new Float32Array(size * length),
    conditionMask: new Float32Array(size * length),
    labelDropped: Uint8Array.from(rows, (row) => Number(row.labelDropped)),
    indices: rows.map((row) => row.index),
    resume: rows.at(-1)!.resume
  }
  rows.forEach((row, i) => {
    const at = i * length
    batch.ids.set(row.ids, at)
    batch.latents.set(row.latents, at * width)
    batch.attentionMask.fill(1, at, at + row.length)
    batch.conditionMask.fill(1, at, at + row.conditionLength)
  })
  return batch
}

const empty: Pending = { shape: undefined, rows: [] }

/**
 * Gathers `size` rows into each batch, in order. The last batch may be smaller (`remainder: "emit"`) or is left out
 * (`"drop"`, the default, so that every training step is alike).
 *
 * **Details** Fails with `BatchShapeError` on a row of another shape than the first one's.
 */
export const batch = (
  options: { readonly size: number; readonly remainder?: "drop" | "emit" }
): Stage<EmbeddedSequence, LatentBatch, BatchShapeError> => {
  const { remainder = "drop", size } = options
  requireArgument(Number.isSafeInteger(size) && size >= 1, "batch.size", "an integer ≥ 1", size)
  const step = ({ rows, shape }: Pending, row: EmbeddedSequence) => {
    const received = shapeOf(row)
    const expected = shape ?? received
    if (!Number.isInteger(received[1]) || received[0] !== expected[0] || received[1] !== expected[1]) {
      return Effect.fail(new BatchShapeError({ row: row.index, expected, received }))
    }
    const gathered = [...rows, row]
    return Effect.succeed(
      gathered.length < size
        ? [{ shape: expected, rows: gathered }, []] as const
        : [{ shape: expected, rows: [] }, [collate(gathered)]] as const
    )
  }
  return Stream.mapAccumEffect(() => empty, step, {
    onHalt: ({ rows }) => remainder === "emit" && rows.length > 0 ? [collate(rows)] : []
  })
}
