import { assert, layer } from "@effect/vitest"
import { Effect, Stream } from "effect"
import { Backend } from "../../src/model/Backend.ts"
import { restore, TrainState } from "../../src/model/TrainState.ts"
import { corrupt } from "../../src/streams/corrupt.ts"
import { divergedBranch } from "../../src/streams/divergedBranch.ts"
import { DivergedError } from "../../src/streams/DivergedError.ts"
import { selfCondition, type SelfConditionedBatch } from "../../src/streams/selfCondition.ts"
import { train } from "../../src/streams/train.ts"
import { testEngine } from "../support/backend.ts"
import { tiny, tinyBatch, tinyCorruption, tinyState, tinyTensors, tinyTraining } from "../support/tinyModel.ts"
import { batches, differences, failsUnchanged, prepared, runOf, takeSnapshot, training } from "../support/training.ts"

/** A finite loss whose gradient's norm is not: targets of 2.5 · 10¹⁸, and 1/(1 − t) as large as it gets. */
const steep = (batch: SelfConditionedBatch): SelfConditionedBatch => ({
  ...batch,
  t: batch.t.map(() => 1),
  velocityTarget: batch.velocityTarget.map(() => 2.5e18)
})

const withFirst = <T extends Float32Array>(values: T, value: number): Float32Array => Float32Array.from(values).fill(value, 0, 1)

layer(testEngine)("train, where numbers stop being numbers", (it) => {
  it.effect("a loss that is not finite stops the run before the step, and names the branch", () =>
    Effect.gen(function*() {
      const [batch] = yield* prepared(1, 4)
      const decoderRow = batch!.decoderActive.indexOf(1), denoiserRow = batch!.decoderActive.indexOf(0)
      assert.isAtLeast(Math.min(decoderRow, denoiserRow), 0, "both branches are in the batch")
      const size = tiny.length * tiny.textWidth
      for (const [row, branch] of [[decoderRow, "decoder"], [denoiserRow, "denoiser"]] as const) {
        const z = Float32Array.from(batch!.z).fill(NaN, row * size, row * size + 1)
        const error = yield* failsUnchanged(Stream.make({ ...batch!, z }).pipe(train(tinyTraining)), "DivergedError")
        assert.instanceOf(error, DivergedError)
        assert.match(error.message, new RegExp(`^Training diverged at step 1 in the ${branch} branch: loss NaN`))
        assert.match(error.message, /The step was not applied/)
      }
    }).pipe(Effect.provide(tinyState())))

  it.effect("a gradient that is not finite stops the run before the step", () =>
    Effect.gen(function*() {
      const [batch] = yield* prepared(1, 4)
      const error = yield* failsUnchanged(Stream.make(steep(batch!)).pipe(train(tinyTraining)), "DivergedError")
      assert.match(error.message, /diverged at step 1 in the denoiser branch: loss \d.*gradient norm (Infinity|NaN)/)
    }).pipe(Effect.provide(tinyState())))

  it.effect("a gradient that is not finite names its branch: denoiser, decoder or both", () =>
    Effect.gen(function*() {
      const state = yield* TrainState
      const { kernel } = yield* Backend
      const [batch] = yield* prepared(1, 4)
      const losses = { loss: 1, denoiserLoss: 1, decoderLoss: 1 }
      const branch = (of: SelfConditionedBatch) => kernel("diagnose", () => divergedBranch(state.elf, of, of.timeEpsilon, losses))
      const spoilt = (flag: 0 | 1) => {
        const [z, size] = [Float32Array.from(batch!.z), tiny.length * tiny.textWidth]
        batch!.decoderActive.forEach((active, row) => { if (active === flag) z.fill(NaN, row * size, row * size + 1) })
        return { ...batch!, z }
      }
      assert.deepStrictEqual([yield* branch(spoilt(0)), yield* branch(spoilt(1)), yield* branch({ ...batch!, z: batch!.z.map(() => NaN) })], ["denoiser", "decoder", "both"])
    }).pipe(Effect.provide(tinyState())))

  /** Training on batches of four rows, with NaN in those that begin with one of `rows`. */
  const skipping = (count: number, rows: ReadonlyArray<number>, gradientAccumulation: number) =>
    batches(count, 4).pipe(
      corrupt(tinyCorruption),
      selfCondition,
      Stream.map((batch) => rows.includes(batch.indices[0]!) ? { ...batch, z: withFirst(batch.z, NaN) } : batch),
      train({ ...tinyTraining, gradientAccumulation, onDivergence: "skip" })
    )

  it.effect("passed over, a batch leaves everything but the count of batches as it was", () =>
    Effect.gen(function*() {
      const [skipped, alone] = [yield* runOf(skipping(2, [4], 1)), yield* runOf(skipping(1, [], 1))]
      assert.deepInclude(skipped.metrics[1], { step: 2, skipped: true, updates: 1 })
      assert.deepStrictEqual(skipped.metrics[1]!.resume?.index, 8)
      assert.deepStrictEqual(differences(skipped.end, { ...alone.end, step: 2 }), [])
    }))

  it.effect("passed over, a batch of several adds nothing to their update; without any other there is none", () =>
    Effect.gen(function*() {
      const [last, first] = [yield* runOf(skipping(2, [4], 2)), yield* runOf(skipping(2, [0], 2))]
      for (const { end, metrics } of [last, first]) {
        assert.deepStrictEqual([end.step, end.updates, end.accumulated.length], [2, 1, 0])
        assert.deepStrictEqual(metrics.filter(({ skipped }) => skipped).length, 1)
      }
      const none = yield* runOf(skipping(2, [0, 4], 2))
      assert.deepStrictEqual([none.end.step, none.end.updates, none.end.accumulated.length], [2, 0, 0])
      const untouched = tinyTensors()
      none.end.model.forEach(({ data }, i) => assert.deepStrictEqual(data, untouched[i]!.data))
    }))

  it.effect("passing over ends when nothing else is left: after ten in a row the run stops", () =>
    Effect.gen(function*() {
      const [batch] = yield* prepared(1)
      const broken = { ...batch!, z: withFirst(batch!.z, NaN) }
      const seen: Array<number> = []
      const endless = Stream.forever(Stream.make(broken)).pipe(train({ ...tinyTraining, onDivergence: "skip" }), Stream.tap(({ step }) => Effect.sync(() => void seen.push(step))))
      const error = yield* Effect.flip(Stream.runDrain(endless))
      assert.instanceOf(error, DivergedError)
      assert.deepStrictEqual([error.step, seen.length], [11, 10])
    }).pipe(Effect.provide(tinyState())))

  it.effect("a state put back to a snapshot goes on from there", () =>
    Effect.gen(function*() {
      const state = yield* TrainState
      const { kernel, live } = yield* Backend
      yield* Stream.runDrain(training({ gradientAccumulation: 2 })(batches(1)))
      const taken = yield* takeSnapshot
      const tensors = yield* live
      yield* Stream.runDrain(Stream.take(training({ gradientAccumulation: 2 })(Stream.make(tinyBatch(2, 2), tinyBatch(4, 2))), 2))
      assert.isAbove(differences(yield* takeSnapshot, taken).length, 0)
      yield* kernel("restore", () => restore(state, taken))
      assert.deepStrictEqual(differences(yield* takeSnapshot, taken), [])
      assert.strictEqual(yield* live, tensors)
    }).pipe(Effect.provide(tinyState())))

  it.effect("a run can go on after a divergence as if the batch had not been there", () =>
    Effect.gen(function*() {
      const good = yield* prepared(1)
      const broken = { ...good[0]!, z: withFirst(good[0]!.z, NaN) }
      yield* Effect.flip(Stream.runDrain(train(tinyTraining)(Stream.make(broken))))
      const after = yield* Stream.runCollect(train(tinyTraining)(Stream.make(...good)))
      const { end, metrics } = yield* runOf(training()(batches(1)))
      assert.deepStrictEqual(after, metrics)
      assert.deepStrictEqual(differences(yield* takeSnapshot, end), [])
    }).pipe(Effect.provide(tinyState())))

  for (const [what, breakIt] of [
    ["loss", (batch: SelfConditionedBatch) => ({ ...batch, z: withFirst(batch.z, NaN) })],
    ["gradient", steep]
  ] as const) {
    it.effect(`a ${what} that is not finite in the second of two accumulated batches leaves the first one's gradients`, () =>
      Effect.gen(function*() {
        const options = { ...tinyTraining, gradientAccumulation: 2 }
        const [first, second] = yield* prepared(2, 4)
        yield* Stream.runDrain(train(options)(Stream.make(first!)))
        assert.isAbove((yield* takeSnapshot).accumulated.length, 0)
        yield* failsUnchanged(train(options)(Stream.make(breakIt(second!))), "DivergedError")
      }).pipe(Effect.provide(tinyState())))
  }
})
