/**
 * The rows of every batch that one process of a group trains on.
 *
 * @since 0.1.0
 */
import { Stream } from "effect"
import { requireArgument } from "../flow/errors.ts"

/** Which process of how many. */
export interface Share {
  /** From 0. */
  readonly rank: number
  readonly count: number
}

/** Where the rows of a process begin and end in a batch of `size` ≥ `count` rows. Rank 0 has the last ones. */
const rangeOf = (size: number, { count, rank }: Share): readonly [begin: number, end: number] => {
  const at = count - 1 - rank
  return [Math.floor((size * at) / count), Math.floor((size * (at + 1)) / count)]
}

/** Rows of a batch of `size` that a process trains on: `size / count`, rounded up or down. */
export const shareSize = (size: number, share: Share): number => {
  const [begin, end] = rangeOf(size, share)
  return end - begin
}

/**
 * Of each `batchSize` consecutive rows, those that belong to one process; together, the processes' rows are the stream's, each
 * once. What does not fill a batch at the end is left out, since only some processes would have a share of it.
 *
 * **Details** Rank 0, which writes the checkpoints, has the last rows of a batch: where packing goes on after them is where it
 * goes on after the batch.
 */
export const shard = (options: Share & { readonly batchSize: number }): <A, E, R>(upstream: Stream.Stream<A, E, R>) => Stream.Stream<A, E, R> => {
  const { batchSize, count, rank } = options
  requireArgument(Number.isSafeInteger(count) && count >= 1 && count <= batchSize, "shard.count", `an integer in 1 … ${batchSize}, the rows of a batch`, count)
  requireArgument(Number.isSafeInteger(rank) && rank >= 0 && rank < count, "shard.rank", `an integer in 0 … ${count - 1}`, rank)
  const [begin, end] = rangeOf(batchSize, options)
  return (upstream) =>
    count === 1 ? upstream : upstream.pipe(
      Stream.grouped(batchSize),
      Stream.filter((rows) => rows.length === batchSize),
      Stream.map((rows) => rows.slice(begin, end)),
      Stream.flattenIterable
    )
}
