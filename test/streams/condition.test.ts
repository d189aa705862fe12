import { assert, describe, it } from "@effect/vitest"
import { Effect, Stream } from "effect"
import fc from "fast-check"
import { dropLabels, type Sequence, splitCondition } from "../../src/streams/index.ts"
import { chunked, seed } from "../support/arbitraries.ts"
import { chunkingInvariance, nothingAliveAfterInterruption } from "../support/laws.ts"
import { check } from "../support/prop.ts"

const row: fc.Arbitrary<Sequence> = fc.record({ length: fc.integer({ min: 0, max: 16 }), index: fc.nat() }).map(
  ({ index, length }) => ({
    ids: Int32Array.from({ length: 16 }, (_, i) => i < length ? i + 2 : 0),
    length,
    conditionLength: 0,
    index
  })
)
const rows = (count: number): ReadonlyArray<Sequence> =>
  Array.from({ length: count }, (_, index) => ({ ids: new Int32Array(16).fill(9), length: 16, conditionLength: 0, index }))

describe("splitCondition", () => {
  const options = { probability: 0.5, minimum: 2, maximum: 6, seed: 1 }

  it.effect("keeps rows, ids and order; a condition is within its bounds and leaves a token to write", () =>
    check([chunked(row), fc.integer({ min: 1, max: 9 }), fc.integer({ min: 0, max: 9 }), seed], (input, minimum, more, seed) =>
      Effect.gen(function*() {
        const maximum = minimum + more
        const stage = splitCondition({ probability: 1, minimum, maximum, seed })
        const out = yield* input.stream.pipe(stage, Stream.runCollect)
        assert.deepStrictEqual(out.map((row) => ({ ...row, conditionLength: 0 })), input.values)
        out.forEach(({ conditionLength, length }) =>
          length <= minimum
            ? assert.strictEqual(conditionLength, 0)
            : assert.isTrue(conditionLength >= minimum && conditionLength <= maximum && conditionLength < length))
      })))

  it.effect("splits the share of rows it says, all lengths alike", () =>
    Effect.gen(function*() {
      const out = yield* Stream.fromIterable(rows(8000)).pipe(splitCondition(options), Stream.runCollect)
      const count = (k: number) => out.filter(({ conditionLength }) => conditionLength === k).length
      assert.closeTo(count(0), 4000, 4 * Math.sqrt(2000))
      for (const k of [2, 3, 4, 5, 6]) assert.closeTo(count(k), 800, 4 * Math.sqrt(720))
    }))

  it.effect("probability 0 changes nothing", () =>
    check([chunked(row)], ({ stream, values }) =>
      Effect.gen(function*() {
        assert.deepStrictEqual(yield* stream.pipe(splitCondition({ ...options, probability: 0 }), Stream.runCollect), values)
      })))

  it("refuses impossible options", () => {
    assert.throws(() => splitCondition({ ...options, probability: 1.1 }), /probability must be in \[0, 1\], but it is 1.1/)
    assert.throws(() => splitCondition({ ...options, minimum: 0 }), /minimum must be an integer ≥ 1/)
    assert.throws(() => splitCondition({ ...options, maximum: 1 }), /maximum must be an integer ≥ 2/)
  })

  it.effect("chunking invariance", () => chunkingInvariance(splitCondition(options), row))
  it.effect("nothing alive after interruption", () =>
    nothingAliveAfterInterruption(splitCondition(options), (i: number) => rows(i + 1)[i]!))
})

describe("dropLabels", () => {
  it.effect("changes nothing but the mark, which depends on the row alone", () =>
    check([chunked(row), seed], ({ stream, values }, seed) =>
      Effect.gen(function*() {
        const stage = dropLabels({ probability: 0.5, seed })
        const out = yield* stream.pipe(stage, Stream.runCollect)
        assert.deepStrictEqual(out.map(({ labelDropped: _, ...row }) => row), values)
        const alone = yield* Effect.forEach(values, (row) => Stream.make(row).pipe(stage, Stream.runCollect))
        assert.deepStrictEqual(alone.flat(), out)
      })))

  it.effect("drops the share of rows it says: none, a tenth, all", () =>
    Effect.gen(function*() {
      for (const probability of [0, 0.1, 1]) {
        const out = yield* Stream.fromIterable(rows(4000)).pipe(dropLabels({ probability, seed: 2 }), Stream.runCollect)
        const deviation = Math.sqrt(4000 * probability * (1 - probability))
        assert.closeTo(out.filter(({ labelDropped }) => labelDropped).length, 4000 * probability, 4 * deviation)
      }
    }))

  it.effect("chunking invariance", () => chunkingInvariance(dropLabels({ probability: 0.5, seed: 3 }), row))
  it.effect("nothing alive after interruption", () =>
    nothingAliveAfterInterruption(dropLabels({ probability: 0.5, seed: 3 }), (i: number) => rows(i + 1)[i]!))
})
