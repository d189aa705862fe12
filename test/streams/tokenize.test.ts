import { assert, describe, it, layer } from "@effect/vitest"
import { Effect, Layer, Stream } from "effect"
import fc from "fast-check"
import { TokenizeError, Tokenizer } from "../../src/model/Tokenizer.ts"
import { tokenize, tokenizePairs } from "../../src/streams/index.ts"
import { chunked } from "../support/arbitraries.ts"
import { chunkingInvariance, nothingAliveAfterInterruption } from "../support/laws.ts"
import { check } from "../support/prop.ts"

const text = fc.string({ unit: "grapheme", maxLength: 30 })

const bad = { operation: "encode", where: "a text", reason: "it is bad", remedy: "Mend it." } as const

/** Character codes, so that a test can see what was encoded; refuses "bad". Counts its calls. */
const codes = () => {
  const calls: Array<number> = []
  const encodeBatch = Effect.fnUntraced(function*(texts: ReadonlyArray<string>) {
    calls.push(texts.length)
    const row = texts.indexOf("bad")
    if (row >= 0) yield* new TokenizeError({ ...bad, row })
    return texts.map((text) => Int32Array.from(text, (c) => c.codePointAt(0)!))
  })
  const service = Tokenizer.of({
    encode: (text) => Effect.map(encodeBatch([text]), ([ids]) => ids!),
    encodeBatch,
    decode: (ids) => Effect.succeed(String.fromCodePoint(...Array.from(ids))),
    vocabularySize: 0x110000,
    padId: 0,
    endOfSequenceId: 1,
    digest: "code points"
  })
  return { calls, layer: Layer.succeed(Tokenizer, service) }
}

layer(Tokenizer.layer)("tokenize with the shipped vocabulary", (it) => {
  it.effect("one array of ids a text, in order, however the texts are chunked", () =>
    Effect.gen(function*() {
      const tokenizer = yield* Tokenizer
      const here = Layer.succeed(Tokenizer, tokenizer)
      yield* check([chunked(text)], ({ stream, values }) =>
        Effect.gen(function*() {
          const single = yield* Effect.forEach(values, tokenizer.encode)
          assert.deepStrictEqual(yield* stream.pipe(tokenize, Stream.runCollect), single)
        }).pipe(Effect.provide(here)), { numRuns: 50 })
      const stage = (upstream: Stream.Stream<string>) => Stream.provide(tokenize(upstream), here)
      yield* chunkingInvariance(stage, text, { numRuns: 20 })
      yield* nothingAliveAfterInterruption(stage, (i) => `text number ${i}`)
    }))
})

describe("tokenize with any tokenizer", () => {
  it.effect("names the row of the stream that failed, beyond the texts of one call", () =>
    Effect.gen(function*() {
      for (const bad of [0, 1, 255, 256, 700]) {
        const texts = Array.from({ length: 800 }, (_, i) => i === bad ? "bad" : "good")
        for (const stream of [Stream.fromIterable(texts), Stream.rechunk(Stream.fromIterable(texts), 100)]) {
          const error = yield* stream.pipe(tokenize, Stream.runDrain, Effect.flip, Effect.provide(codes().layer))
          assert.strictEqual(error.message, `Cannot encode row ${bad}: it is bad. Mend it.`)
        }
      }
    }))

  it.effect("encodes the texts of a chunk together, in calls of bounded size", () =>
    Effect.gen(function*() {
      const tokenizer = codes()
      const texts = Array.from({ length: 600 }, (_, i) => String(i))
      const ids = yield* Stream.fromArrays(texts).pipe(tokenize, Stream.runCollect, Effect.provide(tokenizer.layer))
      assert.deepStrictEqual(ids.map((row) => String.fromCodePoint(...row)), texts)
      assert.deepStrictEqual(tokenizer.calls, [256, 256, 88])
    }))

  it.effect("a null among the texts is an error that names its row", () =>
    Effect.gen(function*() {
      const texts = ["one", "two", null as unknown as string]
      const run = Stream.fromIterable(texts).pipe(tokenize, Stream.runDrain, Effect.provide(Tokenizer.layer))
      const error = yield* Effect.flip(run)
      assert.strictEqual(
        error.message,
        "Cannot encode row 2: it is null, not a text. Pass every text as a string; skip rows without one."
      )
    }))
})

describe("tokenizePairs", () => {
  const pair = fc.record({ condition: text, target: text })

  it.effect("encodes both sides of each pair, in order", () =>
    check([chunked(pair)], ({ stream, values }) =>
      Effect.gen(function*() {
        const pairs = yield* stream.pipe(tokenizePairs, Stream.runCollect)
        const decoded = pairs.map(({ condition, target }) => ({
          condition: String.fromCodePoint(...condition),
          target: String.fromCodePoint(...target)
        }))
        assert.deepStrictEqual(decoded, values)
      }).pipe(Effect.provide(codes().layer))))

  it.effect("names the pair that failed", () =>
    Effect.gen(function*() {
      const pairs = Array.from({ length: 300 }, (_, i) => ({ condition: "good", target: i === 200 ? "bad" : "good" }))
      const run = Stream.fromIterable(pairs).pipe(tokenizePairs, Stream.runDrain, Effect.provide(codes().layer))
      const error = yield* Effect.flip(run)
      assert.strictEqual(error.row, 200)
    }))

  it.effect("chunking invariance and nothing alive after interruption", () =>
    Effect.gen(function*() {
      const stage = (upstream: Stream.Stream<{ condition: string; target: string }>) =>
        Stream.provide(tokenizePairs(upstream), codes().layer)
      yield* chunkingInvariance(stage, pair)
      yield* nothingAliveAfterInterruption(stage, (i) => ({ condition: String(i), target: "x" }))
    }))
})
