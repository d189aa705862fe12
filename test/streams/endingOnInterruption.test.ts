import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Fiber, Stream } from "effect"
import { checkpoint, endingOnInterruption } from "../../src/streams/index.ts"

/** Numbers without end, each after a turn; counts what is acquired and let go. */
const numbers = (open: { count: number }) =>
  Stream.unwrap(Effect.as(
    Effect.acquireRelease(Effect.sync(() => void open.count++), () => Effect.sync(() => void open.count--)),
    Stream.mapEffect(Stream.range(1, 1e9), (i) => Effect.as(Effect.yieldNow, i), { concurrency: 1 })
  ))

const slowly = Stream.mapEffect((i: number) => Effect.as(Effect.repeat(Effect.yieldNow, { times: 7 }), i))

const saving = (open: { count: number }, done: Array<number>, saved: Array<number>, every = 100) =>
  endingOnInterruption((here) =>
    numbers(open).pipe(
      here,
      slowly,
      Stream.tap((i) => Effect.sync(() => void done.push(i))),
      checkpoint({ every, write: (i: number) => Effect.andThen(Effect.repeat(Effect.yieldNow, { times: 20 }), Effect.sync(() => void saved.push(i))), step: (i) => i }),
      Stream.runDrain
    ))

const until = (holds: () => boolean) => Effect.gen(function*() { while (!holds()) yield* Effect.yieldNow })

describe("endingOnInterruption", () => {
  it.effect("what was in hand is finished and saved, wherever the interruption comes; then the program is interrupted", () =>
    Effect.gen(function*() {
      for (let turns = 0; turns < 60; turns++) {
        const open = { count: 0 }
        const [done, saved]: [Array<number>, Array<number>] = [[], []]
        const fiber = yield* Effect.forkChild(saving(open, done, saved, 3))
        yield* until(() => done.length >= 2)
        yield* Effect.repeat(Effect.yieldNow, { times: turns })
        const before = done.length
        yield* Fiber.interrupt(fiber)
        const exit = fiber.pollUnsafe()!
        assert.isTrue(Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause))
        assert.isAtMost(done.length, before + 1, "no more than the step in hand")
        assert.strictEqual(saved.at(-1), done.at(-1))
        assert.deepStrictEqual(saved, [...new Set(saved)])
        assert.strictEqual(open.count, 0)
      }
    }))
  it.effect("an AbortSignal does it too", () =>
    Effect.gen(function*() {
      const open = { count: 0 }
      const [done, saved]: [Array<number>, Array<number>] = [[], []]
      const controller = new AbortController()
      const promise = Effect.runPromiseExit(saving(open, done, saved), { signal: controller.signal })
      yield* until(() => done.length >= 5)
      controller.abort()
      const exit = yield* Effect.promise(() => promise)
      assert.isTrue(Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause))
      assert.deepStrictEqual(saved, [done.length])
      assert.strictEqual(open.count, 0)
    }))
  it.effect("an upstream that waits for ever is not waited for", () =>
    Effect.gen(function*() {
      const saved: Array<number> = []
      const write = (i: number) => Effect.sync(() => void saved.push(i))
      let seen = 0
      const fiber = yield* Effect.forkChild(endingOnInterruption((here) =>
        Stream.concat(Stream.make(1, 2), Stream.never).pipe(here, Stream.tap(() => Effect.sync(() => void seen++)), checkpoint({ every: 10, write }), Stream.runDrain)))
      yield* until(() => seen === 2)
      yield* Fiber.interrupt(fiber)
      assert.deepStrictEqual(saved, [2])
    }))
  it.effect("results and failures pass through; a failure to save after the interruption is told", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* endingOnInterruption((here) => Stream.runCollect(here(Stream.make(1, 2, 3)))), [1, 2, 3])
      assert.strictEqual(yield* Effect.flip(endingOnInterruption((here) => Stream.runDrain(here(Stream.fail("broken" as const))))), "broken")
      let seen = 0
      const fiber = yield* Effect.forkChild(endingOnInterruption((here) =>
        Stream.concat(Stream.make(1), Stream.never).pipe(here, Stream.tap(() => Effect.sync(() => void seen++)), checkpoint({ every: 5, write: () => Effect.fail("disk full" as const) }), Stream.runDrain)))
      yield* until(() => seen === 1)
      yield* Fiber.interrupt(fiber)
      const exit = fiber.pollUnsafe()!
      assert.isTrue(Exit.isFailure(exit))
      assert.strictEqual(yield* Effect.flip(exit), "disk full")
    }))
})
