/**
 * The one abstraction of the library: a stage turns a stream of `A` into a stream of `B`.
 *
 * Every stage keeps four laws, and a stage of your own should too:
 *
 * 1. *Chunking invariance*: how the upstream cuts its elements into chunks changes no result.
 * 2. *Conservation*: what goes in comes out; each stage says what that means for it (no token lost, order kept, …).
 * 3. *No live tensor after a step*: device memory taken for an element is given back before the next one.
 * 4. *Nothing alive after interruption*: no fiber, timer or handle outlives the stream.
 *
 * @since 0.1.0
 */
import type { Stream } from "effect"

/**
 * A stream transformer. `E` and `R` are what the stage *adds*: its own failures and the services it needs.
 * Whatever the upstream already fails with or needs is passed through, so stages compose with plain `pipe`.
 *
 * **Example** (A stage of your own)
 *
 * ```ts
 * const dropShort = (least: number): Stage<string, string> => Stream.filter((text: string) => text.length >= least)
 * ```
 */
export interface Stage<in A, out B, out E = never, out R = never> {
  <E0, R0>(upstream: Stream.Stream<A, E0, R0>): Stream.Stream<B, E0 | E, R0 | R>
}

/** Joins two stages into one; `pipe(s, compose(f, g))` is `pipe(s, f, g)`. */
export const compose = <A, B, C, E1, R1, E2, R2>(
  first: Stage<A, B, E1, R1>,
  second: Stage<B, C, E2, R2>
): Stage<A, C, E1 | E2, R1 | R2> =>
(upstream) => second(first(upstream))
