/**
 * One end for all processes of a group: none may wait for a step that another does not take.
 *
 * @since 0.1.0
 */
import { Effect, Option, Stream } from "effect"
import { anywhere } from "../model/Agreement.ts"
import { Collective, type PeerLostError } from "../model/Collective.ts"

const agree = <A>(element: Option.Option<A>): Effect.Effect<Option.Option<A>, PeerLostError> =>
  Effect.map(anywhere(Option.isNone(element)), (ended) => ended ? Option.none() : element)

/**
 * Passes elements through until the stream ends in one of the processes; then it ends in all of them, after as many elements.
 * A process alone passes everything through.
 *
 * **Gotchas** The processes ask each other before every element, so it belongs where elements are steps.
 */
export const endingTogether = <A, E, R>(upstream: Stream.Stream<A, E, R>): Stream.Stream<A, E | PeerLostError, R> =>
  Stream.unwrap(Effect.map(Collective, ({ size }) =>
    size === 1 ? upstream : upstream.pipe(
      Stream.map(Option.some),
      Stream.concat(Stream.succeed(Option.none<A>())),
      Stream.mapEffect(agree),
      Stream.takeWhile(Option.isSome),
      Stream.map(({ value }) => value)
    )))
