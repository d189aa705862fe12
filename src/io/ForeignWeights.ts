/**
 * Weights in a file of another program: names and shapes at once, values only when asked for.
 *
 * @since 0.1.0
 */
import type { Effect } from "effect"

/** One tensor that has not been read yet. */
export interface ForeignTensor<E> {
  readonly shape: ReadonlyArray<number>
  /** Its values, row-major, as 32-bit floats. */
  readonly read: Effect.Effect<Float32Array, E>
}

/** Tensors by the names of the reference's PyTorch branch, in the order of the file. */
export type ForeignWeights<E> = ReadonlyMap<string, ForeignTensor<E>>

/** A checkpoint of the reference in this library's terms. */
export interface ForeignCheckpoint<E> {
  /** Batches seen, where the file says so. */
  readonly step?: number
  readonly model: ForeignWeights<E>
  /** The moving average of the weights, where the file has one. */
  readonly ema?: ForeignWeights<E>
  /** The optimiser's moments under this library's names, and its number of updates. */
  readonly optimizer?: { readonly kind: "muon" | "adamw"; readonly updates: number; readonly moments: ForeignWeights<E> }
  /** What the file holds and is not carried over, in sentences. */
  readonly notes: ReadonlyArray<string>
}
