/** The laws that every stage keeps, as checks that a stage's test file calls. */
import { assert } from "@effect/vitest"
import { Effect, Fiber, Stream } from "effect"
import type fc from "fast-check"
import { type Chunked, chunked } from "./arbitraries.ts"
import { check } from "./prop.ts"

type Transform<A, B, E, R> = (upstream: Stream.Stream<A>) => Stream.Stream<B, E, R>

/** How the upstream is cut into chunks changes no output: whole, one by one and at random give the same. */
export const chunkingInvariance = <A, B, E>(
  stage: Transform<A, B, E, never>,
  element: fc.Arbitrary<A>,
  parameters?: fc.Parameters<[Chunked<A>]>
): Effect.Effect<void> =>
  check([chunked(element)], ({ stream, values }) =>
    Effect.gen(function*() {
      const whole = yield* Stream.runCollect(stage(Stream.fromIterable(values)))
      assert.deepStrictEqual(yield* Stream.runCollect(stage(stream)), whole)
      assert.deepStrictEqual(yield* Stream.runCollect(stage(Stream.fromArrays(...values.map((value) => [value])))), whole)
    }), parameters)

/** An endless upstream that counts what it has open and how often it was pulled. */
const watched = <A>(element: (index: number) => A) => {
  const seen = { open: 0, pulled: 0 }
  const acquire = Effect.acquireRelease(
    Effect.sync(() => { seen.open++ }),
    () => Effect.sync(() => { seen.open-- })
  )
  const next = Effect.andThen(Effect.yieldNow, Effect.sync(() => element(seen.pulled++)))
  return { seen, stream: Stream.unwrap(Effect.as(acquire, Stream.fromEffectRepeat(next))) }
}

const turns = (count: number) => Effect.repeat(Effect.yieldNow, { times: count })

const assertQuiet = Effect.fnUntraced(function*(seen: { readonly open: number; readonly pulled: number }) {
  const pulled = seen.pulled
  assert.isAbove(pulled, 0)
  assert.strictEqual(seen.open, 0)
  yield* turns(50)
  assert.strictEqual(seen.pulled, pulled, "the upstream is still being pulled")
})

/** Neither stopping early (`take`) nor interrupting the fiber leaves the upstream open or being pulled. */
export const nothingAliveAfterInterruption = <A, B, E>(
  stage: Transform<A, B, E, never>,
  element: (index: number) => A
): Effect.Effect<void, E> =>
  Effect.gen(function*() {
    const early = watched(element)
    yield* Stream.runDrain(Stream.take(stage(early.stream), 2))
    yield* assertQuiet(early.seen)

    const interrupted = watched(element)
    const fiber = yield* Effect.forkChild(Stream.runDrain(stage(interrupted.stream)))
    while (interrupted.seen.pulled < 20) yield* turns(5)
    yield* Fiber.interrupt(fiber)
    yield* assertQuiet(interrupted.seen)
  })
