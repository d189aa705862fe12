import { assert, layer } from "@effect/vitest"
import { Effect, Layer, pipe, Stream } from "effect"
import { type Random, Samplers, Solver, TimeGrid } from "../../src/flow/index.ts"
import { decode } from "../../src/streams/decode.ts"
import { prefetch } from "../../src/streams/index.ts"
import { sample } from "../../src/streams/sample.ts"
import { type StableOptions, untilStable } from "../../src/streams/untilStable.ts"
import { onEngines, testEngine } from "../support/backend.ts"
import { chunkingInvariant, noTensorLeft, nothingLeftAfterInterruption } from "../support/deviceLaws.ts"
import { tiny, tinyBatch, tinyNetwork } from "../support/tinyModel.ts"
import { throwingSolver } from "../support/throwingSolver.ts"
import { assertNear } from "../support/tolerances.ts"

const [S, D] = [tiny.length, tiny.textWidth]
const keys = [0, 1, 2, 3, 4, 5]
const steps = TimeGrid.uniform(24)
const few = TimeGrid.uniform(6)

const optionsWith = (options: Partial<StableOptions> = {}): StableOptions & Random.Seeded =>
  ({ keys, solver: Solver.euler, selfConditionScale: 2, seed: 5, window: 1, ...options })

const run = (options: Partial<StableOptions> = {}, grid = steps) =>
  Stream.runCollect(pipe(Stream.fromIterable(grid), untilStable(optionsWith(options))))

/** The whole run, with the tokens of x̂ after each step. */
const whole = Stream.fromIterable(steps).pipe(sample(optionsWith()), decode({ selfConditionScale: 2, from: "prediction" }), Stream.runCollect)

const fullTokens = Effect.map(whole, (states) => states.map(({ ids }) => ids))

const condition = (size: number, first = 0) => {
  const { conditionMask, latents } = tinyBatch(first, size)
  return { latents, mask: conditionMask }
}

const row = (values: Float32Array, index: number) => values.subarray(index * S * D, (index + 1) * S * D)

/** The step after which the tokens of a row have been the same `window` times in a row; −1: never before the last. */
const expectedSettling = (tokens: ReadonlyArray<ReadonlyArray<Int32Array>>, index: number, window: number): number => {
  let unchanged = 0
  for (let step = 1; step < tokens.length - 1; step++) {
    unchanged = tokens[step]![index]!.every((id, i) => id === tokens[step - 1]![index]![i]) ? unchanged + 1 : 0
    if (unchanged >= window) return step
  }
  return -1
}

layer(Layer.provideMerge(tinyNetwork(), testEngine))("untilStable", (it) => {
  it.effect("with window ∞ is the full run, bit for bit, whatever the solver", () =>
    Effect.gen(function*() {
      for (const solver of Samplers.solverNames) {
        const options = { solver: Samplers.solverOf({ solver, gamma: 1.5 }), condition: condition(6), guidanceScale: 2 }
        const full = yield* Stream.runCollect(pipe(Stream.fromIterable(few), sample(optionsWith(options))))
        const stopped = yield* run({ ...options, window: Infinity }, few)
        assert.deepStrictEqual(stopped.map(({ settledAt: _, ...state }) => state), full)
        assert.isTrue(stopped.every(({ settledAt }) => settledAt.every((at) => at === -1)))
      }
    }))

  for (const window of [1, 3]) {
    it.effect(`settles a row when its tokens have been the same ${window} times in a row, on the prediction it has there`, () =>
      Effect.gen(function*() {
        const full = yield* whole
        const tokens = full.map(({ ids }) => ids)
        const states = yield* run({ window })
        const expected = keys.map((_, i) => expectedSettling(tokens, i, window))
        assert.isTrue(expected.some((at) => at >= 0), "some rows settle")
        assert.deepStrictEqual([...states.at(-1)!.settledAt], expected)
        keys.forEach((_, i) =>
          states.forEach(({ z }, step) => {
            const settled = expected[i]! >= 0 && step >= expected[i]!
            assertNear("sample", row(z, i), settled ? row(full[expected[i]!]!.prediction, i) : row(full[step]!.z, i), `row ${i} after step ${step}`)
          }))
      }))
  }

  it.effect("rows that do not settle end as in the full run; those that do, with the tokens they settled on", () =>
    Effect.gen(function*() {
      const tokens = yield* fullTokens
      const settling = (window: number) => keys.map((_, i) => expectedSettling(tokens, i, window))
      const window = Array.from(steps.keys(), (i) => i + 1).find((window) => settling(window).includes(-1))!
      const end = (yield* run({ window })).at(-1)!
      const { settledAt } = end
      const [decoded] = yield* Stream.make(end).pipe(decode({ selfConditionScale: 2 }), Stream.runCollect)
      assert.isTrue(settledAt.includes(-1) && settledAt.some((at) => at >= 0), "some rows settle, some do not")
      const [last] = yield* Stream.make((yield* whole).at(-1)!).pipe(decode({ selfConditionScale: 2 }), Stream.runCollect)
      keys.forEach((_, i) => assert.deepStrictEqual(decoded!.ids[i], (settledAt[i]! < 0 ? last!.ids : tokens[settledAt[i]!]!)[i], `row ${i}`))
    }))

  it.effect("a row settles where it would have settled alone", () =>
    Effect.gen(function*() {
      const together = (yield* run({ condition: condition(6), window: 2 })).at(-1)!
      for (const key of keys) {
        const alone = (yield* run({ keys: [key], condition: condition(1, key), window: 2 })).at(-1)!
        assert.strictEqual(alone.settledAt[0], together.settledAt[key])
        assertNear("sample", alone.z, row(together.z, key), `row ${key}`)
      }
    }))

  it.effect("the condition's tokens and what lies behind EOS do not keep a row from settling", () =>
    Effect.gen(function*() {
      const tokens = yield* fullTokens
      const last = (states: ReadonlyArray<{ readonly settledAt: Int32Array }>) => [...states.at(-1)!.settledAt]
      // Whatever token a row begins with, as if it were EOS: nothing behind it counts.
      const endOfSequenceId = tokens.at(-1)![0]![0]!
      const first = (step: number) => tokens[step]![0]![0]
      const expected = tokens.findIndex((_, step) => step > 0 && first(step) === first(step - 1) && first(step) === endOfSequenceId)
      assert.isAtLeast(expected, 1)
      const plain = last(yield* run({ keys: [0] }))[0]!
      const aware = last(yield* run({ keys: [0], endOfSequenceId }))[0]!
      assert.isAtMost(aware, expected)
      assert.isTrue(plain === -1 || aware <= plain)
      const all = { latents: tinyBatch(0, 6).latents, mask: new Float32Array(6 * S).fill(1) }
      assert.deepStrictEqual(last(yield* run({ condition: all })), keys.map(() => 1))
    }))

  it.effect("costs nothing more once all rows have settled", () =>
    Effect.gen(function*() {
      let taken = 0
      const counting: Solver.Solver = { ...Solver.euler, step: (problem, state, step) => (taken++, Solver.euler.step(problem, state, step)) }
      const all = { latents: tinyBatch(0, 6).latents, mask: new Float32Array(6 * S).fill(1) }
      const states = yield* run({ solver: counting, condition: all })
      assert.strictEqual(taken, 2)
      assert.strictEqual(states.length, steps.length)
      assert.deepStrictEqual(states.map(({ step }) => step), [...steps])
    }))

  it.effect("refuses a window that is no number of times", () =>
    Effect.sync(() => {
      for (const window of [0, -1, 1.5, NaN]) assert.throws(() => untilStable(optionsWith({ window })), /window must be an integer ≥ 1/)
    }))

  const stage = untilStable(optionsWith({ window: 1, solver: Samplers.solverOf({ solver: "ab2", gamma: 0 }), condition: condition(6) }))
  it.effect("chunking invariance", () => chunkingInvariant(stage, few))
  it.effect("look-ahead on either side changes nothing", () =>
    Effect.gen(function*() {
      const ahead = yield* Stream.fromIterable(steps).pipe(prefetch(2), stage, prefetch(2), Stream.runCollect)
      assert.deepStrictEqual(ahead, yield* Stream.runCollect(stage(Stream.fromIterable(steps))))
    }))
  it.effect("no tensor is left", () =>
    noTensorLeft(untilStable(optionsWith({ window: 9, solver: throwingSolver, condition: condition(6) })), few, { index: 99, t: 0.5, tNext: 0.7, last: false }))
  it.effect("nothing is left after interruption", () =>
    nothingLeftAfterInterruption(stage, (index: number) => ({ index, t: index / (index + 1), tNext: (index + 1) / (index + 2), last: false })))
})

const ends: Array<Float32Array> = []

await onEngines(["tensorflow", "wasm"], (it, engine) => {
  it.effect("every sampler, stopped early, ends where it does on libtensorflow", () =>
    Effect.gen(function*() {
      const latents: Array<number> = []
      for (const solver of Samplers.solverNames) {
        const options = { solver: Samplers.solverOf({ solver, gamma: 1.5, churn: solver === "sde" ? 0 : 2 }), keys: [0, 1], condition: condition(2), window: 3 }
        latents.push(...(yield* run(options, few)).at(-1)!.z)
      }
      ends.push(Float32Array.from(latents))
      assert.isTrue(latents.every(Number.isFinite))
      assertNear("trajectory", ends.at(-1)!, ends[0]!, engine)
    }).pipe(Effect.provide(tinyNetwork())))
})
