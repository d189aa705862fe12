/**
 * An interruption as the end of a stream: what is in hand is finished, and what belongs to the end (a last checkpoint, a
 * closed file) is done, before the program stops.
 *
 * @since 0.1.0
 */
import { Cause, Deferred, Effect, Exit, Fiber, Stream } from "effect"

/** Passes elements through until the program is interrupted; then the stream ends here. */
export type EndOnInterruption = <A, E, R>(upstream: Stream.Stream<A, E, R>) => Stream.Stream<A, E, R>

/**
 * Runs `body`, which puts the stage it is given at one place of its stream. When the program is interrupted (Ctrl-C,
 * SIGTERM, an AbortSignal, a parent that ends), nothing behind that place is: the stream ends there, and the effect is
 * interrupted once `body` is done.
 *
 * **Details** What comes before the place is interrupted even while it waits, for a file or a network; what comes after
 * it finishes its element. A failure of `body` after the interruption is a failure.
 *
 * **Gotchas** Work behind the place must be such that it ends: a step, a write.
 *
 * **Example** (A run that saves its last step however it ends)
 *
 * ```ts
 * endingOnInterruption((here) => batches.pipe(here, train(options), checkpoint({ every: 100, write }), Stream.runDrain))
 * ```
 */
export const endingOnInterruption = <A, E, R>(body: (here: EndOnInterruption) => Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.gen(function*() {
      const asked = yield* Deferred.make<void>()
      const stop = Effect.andThen(Deferred.await(asked), Cause.done())
      const here: EndOnInterruption = (upstream) => Stream.transformPull(upstream, (pull) => Effect.succeed(Effect.raceFirst(pull, stop)))
      const fiber = yield* Effect.forkChild(Effect.interruptible(body(here)))
      const waited = yield* Effect.exit(restore(Fiber.await(fiber)))
      if (Exit.isSuccess(waited)) return yield* waited.value
      yield* Deferred.succeed(asked, undefined)
      const ended = yield* Fiber.await(fiber)
      return yield* Exit.isFailure(ended) ? ended : Effect.interrupt
    }))
