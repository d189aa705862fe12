/** Length buckets: little padding on mixed lengths, rows back in the order in which they came. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Stream } from "effect"
import fc from "fast-check"
import { Encoder } from "../../src/model/Encoder.ts"
import { Tokenizer } from "../../src/model/Tokenizer.ts"
import { encode } from "../../src/streams/encode.ts"
import { powerRuns, rungOf } from "../../src/streams/lengthBuckets.ts"
import { chunkingInvariance } from "../support/laws.ts"
import { check } from "../support/prop.ts"

const length = 256

/** An encoder whose latents are the ids, and who keeps account of what it is given. */
const counted = () => {
  const given = { positions: 0, shapes: new Set<string>() }
  const layer = Layer.mergeAll(
    Layer.succeed(Encoder, Encoder.of({
      width: 1,
      vocabulary: 32_000,
      embed: ({ ids, length: positions, size }) => Effect.sync(() => {
        given.positions += size * positions
        given.shapes.add(`${size}x${positions}`)
        return Float32Array.from(ids)
      })
    })),
    Layer.succeed(Tokenizer, Tokenizer.of({
      encode: () => Effect.die("one by one"),
      decode: () => Effect.die("nothing is decoded"),
      encodeBatch: (texts) => Effect.succeed(texts.map((text) => Int32Array.from(text, (letter) => letter.codePointAt(0)!))),
      vocabularySize: 32_000,
      digest: "letters",
      padId: 0,
      endOfSequenceId: 1
    }))
  )
  return { given, layer }
}

const encoded = (texts: Stream.Stream<string>, batchSize: number, window: number, { layer }: Pick<ReturnType<typeof counted>, "layer"> = counted()) =>
  texts.pipe(encode({ length, batchSize, window }), Stream.provide(layer))

/** Lengths as corpora have them: even, most of them short, two kinds of text. */
const mixtures: Readonly<Record<string, (draw: number) => number>> = {
  even: (draw) => 1 + draw * (length - 1),
  skewed: (draw) => Math.exp(draw * Math.log(length)),
  "two kinds": (draw) => draw < 0.5 ? 8 + draw * 24 : 140 + draw * 110
}

const textOf = (size: number, i: number): string => String.fromCodePoint(97 + i % 26).repeat(Math.max(1, Math.min(length, Math.round(size))))

describe("length buckets", () => {
  it.effect.each(Object.keys(mixtures))("%s lengths: less than a tenth of what the encoder sees is padding", (name) =>
    check([fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { minLength: 300, maxLength: 600 }), fc.integer({ min: 1, max: 64 })], (draws, batchSize) =>
      Effect.gen(function*() {
        const texts = draws.map((draw, i) => textOf(mixtures[name]!(draw), i))
        const account = counted()
        const rows = yield* Stream.runCollect(encoded(Stream.fromIterable(texts), batchSize, 1024, account))
        const tokens = texts.reduce((sum, text) => sum + text.length, 0)
        assert.deepStrictEqual([rows.reduce((sum, row) => sum + row.positions, 0), rows.reduce((sum, row) => sum + row.tokens, 0)], [account.given.positions, tokens], "what is reported is what was given")
        assert.isBelow(1 - tokens / account.given.positions, 0.1)
      }), { numRuns: 15 }))

  it.effect("rows come back in order with latents of their own, however they are cut into chunks, batches and windows", () =>
    Effect.gen(function*() {
      const text = fc.tuple(fc.integer({ min: 0, max: length }), fc.integer({ min: 0, max: 25 })).map(([size, letter]) => String.fromCodePoint(97 + letter).repeat(size))
      yield* check([fc.array(text, { maxLength: 60 }), fc.integer({ min: 1, max: 20 }), fc.integer({ min: 1, max: 40 })], (texts, batchSize, window) =>
        Effect.gen(function*() {
          const rows = yield* Stream.runCollect(encoded(Stream.fromIterable(texts), batchSize, window))
          assert.deepStrictEqual(rows.map((row) => [row.index, row.text, String.fromCodePoint(...row.latents)]), texts.map((one, i) => [i, one, one]))
        }), { numRuns: 40 })
      yield* chunkingInvariance((texts: Stream.Stream<string>) => encoded(texts, 3, 7), text)
    }))

  it.effect("token ids go the same way, past the tokenizer", () =>
    Effect.gen(function*() {
      const ids = [[5, 6, 7], [], [9], Array.from({ length: 300 }, (_, i) => i)].map((list) => Int32Array.from(list))
      const rows = yield* Stream.fromIterable(ids).pipe(encode<Int32Array>({ length }), Stream.provide(counted().layer), Stream.runCollect)
      assert.deepStrictEqual(rows.map(({ latents }) => Array.from(latents)), ids.map((list) => Array.from(list.subarray(0, length))))
    }))

  it("a rung is less than an eighth above a length, and few", () => {
    const rungs = new Set<number>()
    for (let size = 1; size <= 1024; size++) {
      const rung = rungOf(size, 1024)
      rungs.add(rung)
      assert.isAtLeast(rung, size)
      assert.isBelow((rung - size) / rung, 1 / 8)
      assert.strictEqual(rungOf(rung, 1024), rung)
    }
    assert.isAtMost(rungs.size, 64)
  })

  it("runs of powers of two lose nothing and come in few sizes", () => {
    fc.assert(fc.property(fc.array(fc.integer(), { maxLength: 300 }), (elements) => {
      const runs = powerRuns(elements)
      assert.deepStrictEqual(runs.flat(), elements)
      for (const { length: size } of runs) assert.strictEqual(Math.log2(size) % 1, 0)
      assert.strictEqual(new Set(runs.map(({ length: size }) => size)).size, runs.length)
    }))
  })
})
