import { assert, describe, it } from "@effect/vitest"
import { Effect, Stream } from "effect"
import fc from "fast-check"
import { checkpoint } from "../../src/streams/checkpoint.ts"
import { chunkingInvariance, nothingAliveAfterInterruption } from "../support/laws.ts"
import { check } from "../support/prop.ts"

const recording = (every: number) => {
  const written: Array<number> = []
  const stage = checkpoint({
    every,
    write: (step: number) => Effect.andThen(Effect.yieldNow, Effect.sync(() => void written.push(step)))
  })
  return { stage, written }
}

describe("checkpoint", () => {
  it.effect("passes every element on, and writes each so many and the last, once", () =>
    check([fc.nat(40), fc.integer({ min: 1, max: 12 })], (count, every) =>
      Effect.gen(function*() {
        const { stage, written } = recording(every)
        const steps = Array.from({ length: count }, (_, i) => i + 1)
        assert.deepStrictEqual(yield* Stream.runCollect(stage(Stream.fromIterable(steps))), steps)
        assert.deepStrictEqual(written, steps.filter((step) => step % every === 0 || step === count))
      })))
  it.effect("an element goes on only when it is written", () =>
    Effect.gen(function*() {
      const { stage, written } = recording(2)
      yield* Stream.make(1, 2, 3, 4, 5).pipe(
        stage,
        Stream.tap((step) => Effect.sync(() => assert.deepStrictEqual(written, [2, 4].filter((one) => one <= step)))),
        Stream.runDrain
      )
      assert.deepStrictEqual(written, [2, 4, 5])
    }))
  it.effect("counts by the element's own step, so that a resumed run writes at the same steps", () =>
    Effect.gen(function*() {
      const written: Array<number> = []
      const stage = checkpoint({ every: 4, step: (step: number) => step, write: (step) => Effect.sync(() => void written.push(step)) })
      yield* Stream.make(6, 7, 8, 9, 10).pipe(stage, Stream.runDrain)
      assert.deepStrictEqual(written, [8, 10])
    }))
  it.effect("a failure upstream writes nothing more; a failure to write ends the stream", () =>
    Effect.gen(function*() {
      const { stage, written } = recording(3)
      const broken = Stream.concat(Stream.make(1, 2, 3, 4), Stream.fail("broken" as const))
      assert.strictEqual(yield* Effect.flip(Stream.runDrain(stage(broken))), "broken")
      assert.deepStrictEqual(written, [3])
      const full = checkpoint({ every: 2, write: () => Effect.fail("disk full" as const) })
      assert.strictEqual(yield* Effect.flip(Stream.runDrain(full(Stream.make(1, 2, 3)))), "disk full")
    }))
  it.effect("chunks change nothing", () => chunkingInvariance(recording(3).stage, fc.integer()))
  it.effect("nothing lives on after an interruption", () => nothingAliveAfterInterruption<number, number, never>(recording(3).stage, (i) => i))
  it("refuses an interval of 0", () => assert.throws(() => recording(0), /checkpoint: every must be|checkpoint\.every/))
})
