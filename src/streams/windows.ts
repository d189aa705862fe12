/**
 * A stream's rows a window at a time, each window told which row of the stream it begins with.
 */
import { Effect, Stream } from "effect"
import type { Stage } from "./Stage.ts"

/** Applies `answer` to each `size` ≥ 1 consecutive rows, the last ones perhaps fewer; `first` counts the rows before them. */
export const byWindow = <A, B, E, R>(
  size: number,
  answer: (rows: ReadonlyArray<A>, first: number) => Effect.Effect<ReadonlyArray<B>, E, R>
): Stage<A, B, E, R> =>
<E0, R0>(upstream: Stream.Stream<A, E0, R0>) =>
  upstream.pipe(
    Stream.grouped(size),
    Stream.mapAccumEffect(
      () => 0,
      (first: number, rows: ReadonlyArray<A>) => Effect.map(answer(rows, first), (answers) => [first + rows.length, answers] as const)
    )
  )
