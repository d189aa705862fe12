import { assert, describe, it as plain, layer } from "@effect/vitest"
import { Effect, Layer, Stream } from "effect"
import fc from "fast-check"
import { keyed } from "../../src/flow/Random.ts"
import { decode, type Decoded, detokenize, trimAnswer } from "../../src/streams/decode.ts"
import { prefetch } from "../../src/streams/index.ts"
import type { Sampled } from "../../src/streams/sample.ts"
import { testEngine } from "../support/backend.ts"
import { chunkingInvariant, noTensorLeft, nothingLeftAfterInterruption } from "../support/deviceLaws.ts"
import { tiny, tinyNetwork, tinyTokenizer } from "../support/tinyModel.ts"

const source = keyed(3)

/** A sampler's state of `size` rows; rows are keyed by `first` and on. */
const state = (first: number, size = 3): Sampled => {
  const normal = (purpose: string) =>
    Float32Array.from(Array.from({ length: size }, (_, i) => [...source.normal({ purpose, index: first + i }, tiny.length * tiny.textWidth)]).flat())
  return {
    step: { index: first, t: 0.5, tNext: 1, last: true },
    shape: [size, tiny.length, tiny.textWidth],
    z: normal("z"),
    prediction: normal("prediction")
  }
}

const options = { selfConditionScale: 2, selfConditioning: true }
const run = (states: ReadonlyArray<Sampled>, more: Partial<Parameters<typeof decode>[0]> = {}) =>
  Stream.fromIterable(states).pipe(decode({ ...options, ...more }), Stream.runCollect)

layer(Layer.mergeAll(Layer.provideMerge(tinyNetwork(), testEngine), tinyTokenizer))("decode", (it) => {
  it.effect("adds S ids to every row and changes nothing else, in order", () =>
    Effect.gen(function*() {
      const states = [state(0), state(3, 1), state(4)]
      const out = yield* run(states)
      assert.deepStrictEqual(out.map(({ ids: _, ...rest }) => rest), states)
      for (const { ids, shape } of out) {
        assert.deepStrictEqual(ids.map((row) => row.length), Array.from({ length: shape[0] }, () => tiny.length))
        assert.isTrue(ids.every((row) => row.every((id) => Number.isInteger(id) && id >= 0 && id < tiny.vocabulary)))
      }
      assert.isAbove(new Set(out.flatMap(({ ids }) => ids.flatMap((row) => [...row]))).size, 5, "different latents are different tokens")
    }))

  it.effect("a row's tokens do not depend on its neighbours", () =>
    Effect.gen(function*() {
      const [together] = yield* run([state(0, 4)])
      const alone = yield* run([0, 1, 2, 3].map((row) => state(row, 1)))
      assert.deepStrictEqual(alone.flatMap(({ ids }) => ids), [...together!.ids])
    }))

  it.effect("reads z, or the prediction where it is told to, and the scale", () =>
    Effect.gen(function*() {
      const ids = (states: ReadonlyArray<Sampled>, more = {}) => Effect.map(run(states, more), (out) => out.flatMap((each) => each.ids))
      const one = state(0)
      const swapped = { ...one, z: one.prediction, prediction: one.z }
      assert.deepStrictEqual(yield* ids([one], { from: "prediction" }), yield* ids([swapped]))
      assert.notDeepEqual(yield* ids([one], { from: "prediction" }), yield* ids([one]))
      assert.deepStrictEqual(yield* ids([one], { from: "z" }), yield* ids([one]))
      assert.notDeepEqual(yield* ids([one], { selfConditionScale: 5 }), yield* ids([one], { selfConditionScale: 0.5 }))
      assert.notDeepEqual(yield* ids([one], { selfConditioning: false }), yield* ids([one]))
    }))

  it.effect("detokenize adds the text of every row", () =>
    Effect.gen(function*() {
      const [decoded] = yield* run([state(0)])
      const withEnd: Decoded = { ...decoded!, ids: [Int32Array.of(7, 1, 8, 0), Int32Array.of(60, 2, 0, 0), new Int32Array(4)] }
      const [texts] = yield* Stream.runCollect(detokenize(Stream.make(withEnd)))
      assert.deepStrictEqual(texts, { ...withEnd, texts: ["7 8", "60 2", ""] })
    }))

  const stage = decode(options)
  const states = [state(0), state(3), state(6), state(9)]
  it.effect("chunking invariance", () => chunkingInvariant(stage, states))
  it.effect("look-ahead on either side changes nothing", () =>
    Effect.gen(function*() {
      const ahead = yield* Stream.fromIterable(states).pipe(prefetch(2), stage, prefetch(1), Stream.runCollect)
      assert.deepStrictEqual(ahead, yield* run(states))
    }))
  it.effect("no tensor is left", () =>
    noTensorLeft(stage, states, { ...state(0), z: new Float32Array(3 * 5 * tiny.textWidth), shape: [3, 5, tiny.textWidth] }))
  it.effect("nothing is left after interruption", () => nothingLeftAfterInterruption(stage, (index: number) => state(index)))
})

describe("trimAnswer", () => {
  const rows = fc.array(fc.integer({ min: 0, max: 9 }), { minLength: 1, maxLength: 16 }).map((ids) => Int32Array.from(ids))
  const [endOfSequenceId, padId] = [1, 0]

  plain("is the row without its condition, cut to the maximum, up to EOS, padded", () =>
    fc.assert(fc.property(rows, fc.nat(16), fc.nat(16), (ids, condition, maximumLength) => {
      const answer = trimAnswer(ids, 1, { conditionLengths: [0, condition], maximumLength, endOfSequenceId, padId })
      const rest = [...ids.slice(condition)]
      const written = rest.slice(0, maximumLength)
      const end = written.indexOf(endOfSequenceId)
      const expected = end === -1 ? written : written.slice(0, end)
      assert.strictEqual(answer.length, Math.min(ids.length, maximumLength))
      assert.deepStrictEqual([...answer], [...expected, ...Array(answer.length - expected.length).fill(padId)])
    })))

  plain("without condition and maximum keeps all up to EOS", () => {
    assert.deepStrictEqual([...trimAnswer(Int32Array.of(5, 6, 1, 7), 0, { endOfSequenceId, padId })], [5, 6, 0, 0])
    assert.deepStrictEqual([...trimAnswer(Int32Array.of(5, 6), 0, { endOfSequenceId, padId })], [5, 6])
  })
})
