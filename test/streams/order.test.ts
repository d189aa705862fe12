/** The stages that change when and in which order elements come, and never which: prefetch and shuffle; and compose. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, pipe, Stream } from "effect"
import fc from "fast-check"
import { compose, pack, prefetch, shuffle, splitCondition, type Stage } from "../../src/streams/index.ts"
import { chunked, document, seed } from "../support/arbitraries.ts"
import { chunkingInvariance, nothingAliveAfterInterruption } from "../support/laws.ts"
import { check } from "../support/prop.ts"

const depth = fc.integer({ min: 0, max: 9 })
const packing = { length: 7, endOfSequenceId: 1, padId: 0 }
const splitting = { probability: 0.5, minimum: 1, maximum: 5, seed: 4 }

describe("prefetch", () => {
  it.effect("keeps the elements and their order, whatever its depth", () =>
    check([chunked(fc.integer()), depth], ({ stream, values }, depth) =>
      Effect.gen(function*() {
        assert.deepStrictEqual(yield* stream.pipe(prefetch(depth), Stream.runCollect), values)
      })))

  it.effect("a pipeline with draws gives the same results at every depth and in every place", () =>
    check([chunked(document), depth, depth, depth], ({ stream }, a, b, c) =>
      Effect.gen(function*() {
        const run = (first: number, second: number, third: number) =>
          stream.pipe(
            prefetch(first),
            pack(packing),
            prefetch(second),
            splitCondition(splitting),
            prefetch(third),
            Stream.runCollect
          )
        assert.deepStrictEqual(yield* run(a, b, c), yield* run(0, 0, 0))
      })))

  it.effect("hands over all elements before a failure, and then the failure", () =>
    check([fc.array(fc.integer()), depth], (values, depth) =>
      Effect.gen(function*() {
        const seen: Array<number> = []
        const exit = yield* Stream.fromIterable(values).pipe(
          Stream.concat(Stream.fail("boom")),
          prefetch(depth),
          Stream.runForEach((value) => Effect.sync(() => seen.push(value))),
          Effect.exit
        )
        assert.deepStrictEqual(exit, Exit.fail("boom"))
        assert.deepStrictEqual(seen, values)
      })))

  it.effect("works ahead, but not without bound", () =>
    Effect.gen(function*() {
      for (const depth of [1, 4]) {
        let made = 0
        const first = yield* Stream.fromEffectRepeat(Effect.andThen(Effect.yieldNow, Effect.sync(() => made++))).pipe(
          prefetch(depth),
          Stream.mapEffect((value) => Effect.as(Effect.repeat(Effect.yieldNow, { times: 100 }), value)),
          Stream.take(1),
          Stream.runCollect
        )
        assert.deepStrictEqual(first, [0])
        assert.isAtLeast(made, 1 + depth)
        assert.isAtMost(made, 2 + 2 * depth)
      }
    }))

  it("refuses a negative depth", () => assert.throws(() => prefetch(-1), /depth must be an integer ≥ 0, but it is -1/))

  it.effect("chunking invariance", () => chunkingInvariance(prefetch(2), fc.integer()))
  for (const depth of [0, 1, 8]) {
    it.effect(`nothing alive after interruption at depth ${depth}`, () =>
      nothingAliveAfterInterruption(prefetch(depth), (i) => i))
  }
})

describe("shuffle", () => {
  const window = fc.integer({ min: 1, max: 12 })

  it.effect("keeps every element, within its window", () =>
    check([chunked(fc.integer()), window, seed], ({ stream, values }, window, seed) =>
      Effect.gen(function*() {
        const out = yield* stream.pipe(shuffle({ window, seed }), Stream.runCollect)
        assert.strictEqual(out.length, values.length)
        for (let i = 0; i < values.length; i += window) {
          const sorted = (xs: ReadonlyArray<number>) => xs.slice(i, i + window).sort((a, b) => a - b)
          assert.deepStrictEqual(sorted(out), sorted(values))
        }
      })))

  it.effect("does shuffle, each window another way, and the same way each time", () =>
    Effect.gen(function*() {
      const run = Stream.runCollect(shuffle({ window: 20, seed: 1 })(Stream.range(0, 39)))
      const out = yield* run
      assert.notDeepEqual(out.slice(0, 20), Array.from({ length: 20 }, (_, i) => i))
      assert.notDeepEqual(out.slice(20).map((x) => x - 20), out.slice(0, 20))
      assert.deepStrictEqual(yield* run, out)
    }))

  it("refuses an empty window", () => assert.throws(() => shuffle({ window: 0, seed: 1 }), /window must be an integer ≥ 1/))

  it.effect("chunking invariance", () => chunkingInvariance(shuffle({ window: 5, seed: 2 }), fc.integer()))
  it.effect("nothing alive after interruption", () => nothingAliveAfterInterruption(shuffle({ window: 3, seed: 2 }), (i) => i))
})

describe("compose", () => {
  it.effect("pipe(s, compose(f, g)) is pipe(s, f, g)", () =>
    check([chunked(document)], ({ stream }) =>
      Effect.gen(function*() {
        const first = pack(packing), second = splitCondition(splitting)
        assert.deepStrictEqual(
          yield* Stream.runCollect(pipe(stream, compose(first, second))),
          yield* Stream.runCollect(pipe(stream, first, second))
        )
      })))

  it.effect("takes any function on streams for a stage", () =>
    Effect.gen(function*() {
      const dropShort = (least: number): Stage<string, string> => Stream.filter((text: string) => text.length >= least)
      const count: Stage<string, number> = Stream.map((text: string) => text.length)
      assert.deepStrictEqual(yield* Stream.make("a", "abc", "ab").pipe(compose(dropShort(2), count), Stream.runCollect), [3, 2])
    }))
})
