/** The laws of stages that run on the device, as checks that a stage's test file calls. */
import { assert } from "@effect/vitest"
import { Effect, Exit, Stream } from "effect"
import { Backend } from "../../src/model/Backend.ts"
import { nothingAliveAfterInterruption } from "./laws.ts"

/** A stage, on upstreams that may fail. */
type Transform<A, B, E, R> = (upstream: Stream.Stream<A, "upstream">) => Stream.Stream<B, E, R>

/** `values` cut into chunks of the given sizes, the last one taking what is left. */
const cut = <A>(values: ReadonlyArray<A>, sizes: ReadonlyArray<number>): Stream.Stream<A> => {
  let at = 0
  const chunks = sizes.map((size) => values.slice(at, at += size))
  return Stream.fromArrays(...[...chunks, values.slice(at)].filter((chunk) => chunk.length > 0))
}

/** How the upstream is cut into chunks changes no output, bit for bit. */
export const chunkingInvariant = <A, B, E, R>(stage: Transform<A, B, E, R>, values: ReadonlyArray<A>): Effect.Effect<void, E, R> =>
  Effect.gen(function*() {
    const run = (sizes: ReadonlyArray<number>) => Stream.runCollect(stage(cut(values, sizes)))
    const whole = yield* run([])
    assert.isAbove(whole.length, 1)
    assert.deepStrictEqual(yield* run(values.map(() => 1)), whole)
    assert.deepStrictEqual(yield* run([2, 1]), whole)
  })

const failsWith = Effect.fnUntraced(function*<B, E, R>(stream: Stream.Stream<B, E, R>) {
  assert.isTrue(Exit.isFailure(yield* Effect.exit(Stream.runDrain(stream))), "the stream has to fail")
})

/**
 * As many tensors are alive as before: at each output, at the end, after stopping early, after a failure of the upstream,
 * and after `broken`, on which the stage itself has to fail.
 */
export const noTensorLeft = <A, B, E, R>(stage: Transform<A, B, E, R>, values: ReadonlyArray<A>, broken: A): Effect.Effect<void, E, R | Backend> =>
  Effect.gen(function*() {
    const { live } = yield* Backend
    const before = yield* live
    const unchanged = (when: string) => Effect.map(live, (now) => assert.strictEqual(now, before, `live tensors ${when}`))
    const upstream = Stream.fromIterable(values)
    yield* Stream.runForEach(stage(upstream), () => unchanged("at an output"))
    yield* unchanged("at the end")
    yield* Stream.runDrain(Stream.take(stage(upstream), 1))
    yield* unchanged("after stopping early")
    yield* failsWith(stage(Stream.concat(upstream, Stream.fail("upstream"))))
    yield* unchanged("after a failure upstream")
    yield* failsWith(stage(Stream.make(...values, broken)))
    yield* unchanged("after a failure of the stage")
  })

/** Neither stopping early nor interrupting leaves tensors, or an upstream open or being pulled. */
export const nothingLeftAfterInterruption = <A, B, E, R>(
  stage: Transform<A, B, E, R>,
  element: (index: number) => A
): Effect.Effect<void, E, R | Backend> =>
  Effect.gen(function*() {
    const { live } = yield* Backend
    const context = yield* Effect.context<R>()
    const before = yield* live
    yield* nothingAliveAfterInterruption((upstream: Stream.Stream<A>) => Stream.provideContext(stage(upstream), context), element)
    assert.strictEqual(yield* live, before, "live tensors after interruption")
  })
