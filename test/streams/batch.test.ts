import { assert, describe, it } from "@effect/vitest"
import { Effect, Stream } from "effect"
import fc from "fast-check"
import { batch, BatchShapeError, type EmbeddedSequence, type LatentBatch } from "../../src/streams/index.ts"
import { chunked } from "../support/arbitraries.ts"
import { chunkingInvariance, nothingAliveAfterInterruption } from "../support/laws.ts"
import { check } from "../support/prop.ts"

const [S, D] = [4, 3]

const embedded = (index: number, length: number, conditionLength: number, width = D): EmbeddedSequence => ({
  ids: Int32Array.from({ length: S }, (_, i) => i < length ? index + i : 0),
  length,
  conditionLength,
  index,
  labelDropped: index % 3 === 0,
  latents: Float32Array.from({ length: S * width }, (_, i) => index + i / 100),
  resume: { documents: index + 1, offset: 0, index: index + 1 }
})

const row: fc.Arbitrary<EmbeddedSequence> = fc.tuple(fc.nat(1000), fc.nat(S), fc.nat(S)).map(([index, a, b]) =>
  embedded(index, Math.max(a, b), Math.min(a, b))
)

/** The rows again, from every field of a batch. */
const rowsOf = (batch: LatentBatch): ReadonlyArray<EmbeddedSequence> =>
  batch.indices.map((index, i) => {
    const tokens = (values: Float32Array) => values.slice(i * S, (i + 1) * S)
    const count = (mask: Float32Array) => {
      const length = tokens(mask).reduce((sum, x) => sum + x, 0)
      assert.deepStrictEqual(tokens(mask), Float32Array.from({ length: S }, (_, k) => Number(k < length)))
      return length
    }
    return {
      ids: batch.ids.slice(i * S, (i + 1) * S),
      length: count(batch.attentionMask),
      conditionLength: count(batch.conditionMask),
      index,
      labelDropped: batch.labelDropped[i] === 1,
      latents: batch.latents.slice(i * S * D, (i + 1) * S * D),
      resume: { documents: index + 1, offset: 0, index: index + 1 }
    }
  })

describe("batch", () => {
  const size = fc.integer({ min: 1, max: 5 })

  it.effect("the rows of all batches are the rows, in order", () =>
    check([chunked(row), size], ({ stream, values }, size) =>
      Effect.gen(function*() {
        const batches = yield* stream.pipe(batch({ size, remainder: "emit" }), Stream.runCollect)
        assert.deepStrictEqual(batches.flatMap(rowsOf), values)
        batches.forEach((batch, i) => {
          assert.deepStrictEqual([batch.length, batch.width], [S, D])
          assert.strictEqual(batch.size, Math.min(size, values.length - i * size))
          assert.deepStrictEqual(batch.resume, values[i * size + batch.size - 1]!.resume)
        })
      })))

  it.effect("remainder: drop (the default) leaves out the last rows that fill no batch", () =>
    check([chunked(row), size], ({ stream, values }, size) =>
      Effect.gen(function*() {
        const batches = yield* stream.pipe(batch({ size }), Stream.runCollect)
        assert.deepStrictEqual(batches.flatMap(rowsOf), values.slice(0, values.length - values.length % size))
      })))

  it.effect("refuses a row of another shape, by name, even in another batch", () =>
    Effect.gen(function*() {
      const row = embedded(7, 4, 0)
      const narrow = embedded(7, 4, 0, 2), long = { ...row, ids: new Int32Array(6) }, torn = { ...row, latents: new Float32Array(5) }
      for (const odd of [narrow, long, torn]) {
        const rows = Stream.make(embedded(0, 4, 0), embedded(1, 4, 0), odd)
        const error = yield* rows.pipe(batch({ size: 2 }), Stream.runDrain, Effect.flip)
        assert.instanceOf(error, BatchShapeError)
        assert.match(error.message, /^Row 7 has shape \[.*\], but the first row had \[4, 3\]\. Pack all rows/)
      }
    }))

  it("refuses an empty batch", () => assert.throws(() => batch({ size: 0 }), /size must be an integer ≥ 1, but it is 0/))

  it.effect("chunking invariance", () => chunkingInvariance(batch({ size: 3, remainder: "emit" }), row))
  it.effect("nothing alive after interruption", () =>
    nothingAliveAfterInterruption(batch({ size: 2 }), (i: number) => embedded(i, 4, 1)))
})
