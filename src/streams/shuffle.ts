/**
 * Another order, drawn once and for all by a seed.
 *
 * @since 0.1.0
 */
import { Stream } from "effect"
import { requireArgument } from "../flow/errors.ts"
import { permutation, type Seeded, sourceOf } from "../flow/Random.ts"

/**
 * Shuffles each run of `window` consecutive elements; the last run may be shorter. No element is lost or repeated, and
 * none moves further than its window. `window` elements are held in memory.
 *
 * **Details** Draws: purpose "shuffle", index of the window; a data set that is repeated upstream comes in a new order.
 *
 * **Gotchas** Belongs before `pack`: shuffled documents resume exactly, shuffled sequences have lost their order.
 */
export const shuffle = (
  options: Seeded & {
    /** Elements shuffled among each other, ≥ 1. */
    readonly window: number
    /** Number of the window that the upstream begins with, ≥ 0; default 0. */
    readonly first?: number
  }
): <A, E, R>(upstream: Stream.Stream<A, E, R>) => Stream.Stream<A, E, R> => {
  const { first = 0, window } = options
  requireArgument(Number.isSafeInteger(window) && window >= 1, "shuffle.window", "an integer ≥ 1", window)
  requireArgument(Number.isSafeInteger(first) && first >= 0, "shuffle.first", "an integer ≥ 0", first)
  const source = sourceOf(options)
  const reorder = <A>(elements: ReadonlyArray<A>, index: number): ReadonlyArray<A> =>
    Array.from(permutation(source, { purpose: "shuffle", index }, elements.length), (i) => elements[i]!)
  return (upstream) =>
    upstream.pipe(
      Stream.grouped(window),
      Stream.zipWithIndex,
      Stream.map(([elements, index]) => reorder(elements, first + index)),
      Stream.flattenIterable
    )
}
