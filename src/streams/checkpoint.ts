/**
 * Saving along the way: elements pass through unchanged, and now and then one of them is written.
 *
 * @since 0.1.0
 */
import { Effect, Option, Stream } from "effect"
import { requireArgument } from "../flow/errors.ts"
import type { Stage } from "./Stage.ts"

/** What {@link checkpoint} needs to know. */
export interface CheckpointOptions<in A, out E, out R> {
  /** Write after every so many elements, ≥ 1. */
  readonly every: number
  /** Saves the state as it is after this element; the element goes on only when this is done. */
  readonly write: (element: A) => Effect.Effect<void, E, R>
  /** Number of the element, from 1; when absent elements are counted from where the stream begins. */
  readonly step?: (element: A) => number
}

/**
 * Passes elements through and writes after every `every`-th one and after the last.
 *
 * **Details** The write is finished before the element goes on, so whatever is seen downstream has been saved. At the
 * end of the stream the last element is written unless it just was; a failure or an interruption writes nothing.
 *
 * **Gotchas** `Stream.take` belongs before this stage: behind it, it cuts the end off and the last element stays
 * unwritten.
 */
export const checkpoint = <A, E, R>(options: CheckpointOptions<A, E, R>): Stage<A, A, E, R> => {
  const { every, step, write } = options
  requireArgument(Number.isSafeInteger(every) && every >= 1, "checkpoint.every", "an integer ≥ 1", every)
  return (upstream) =>
    Stream.suspend(() => {
      let count = 0
      let unwritten: Option.Option<A> = Option.none()
      const pass = (element: A) => {
        count = step === undefined ? count + 1 : step(element)
        if (count % every !== 0) {
          unwritten = Option.some(element)
          return Effect.succeed(element)
        }
        unwritten = Option.none()
        return Effect.as(write(element), element)
      }
      const writeLast = Effect.suspend(() => Option.isNone(unwritten) ? Effect.void : write(unwritten.value))
      return upstream.pipe(Stream.mapEffect(pass), Stream.concat(Stream.drain(Stream.fromEffect(writeLast))))
    })
}
