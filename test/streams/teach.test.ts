import { assert, layer } from "@effect/vitest"
import * as tf from "@tensorflow/tfjs-core"
import { Effect, Layer, Stream } from "effect"
import { spanStart } from "../../src/flow/Distillation.ts"
import { recorded } from "../../src/flow/Random.ts"
import { uniform } from "../../src/flow/TimeDistribution.ts"
import { Backend } from "../../src/model/Backend.ts"
import { impliedPrediction } from "../../src/model/Teacher.ts"
import { corrupt, type CorruptionOptions } from "../../src/streams/corrupt.ts"
import { evaluate } from "../../src/streams/evaluate.ts"
import { type LatentBatch, prefetch } from "../../src/streams/index.ts"
import { type TaughtBatch, teach, type TeachOptions } from "../../src/streams/teach.ts"
import { train, type TrainOptions } from "../../src/streams/train.ts"
import { testEngine } from "../support/backend.ts"
import { chunkingInvariant, noTensorLeft, nothingLeftAfterInterruption } from "../support/deviceLaws.ts"
import { misfitBatch, tiny, tinyBatch, tinyCorruption, tinyNetwork, tinyState, tinyTeacher, tinyTraining, tinyVariant } from "../support/tinyModel.ts"
import { assertNear } from "../support/tolerances.ts"
import { differences, runOf } from "../support/training.ts"

const [S, D] = [tiny.length, tiny.textWidth]

interface Change extends Partial<CorruptionOptions>, Partial<TeachOptions> {}

const options = (change: Change = {}) => {
  const { stepSize = 1 / 4, teacherSteps = 3, teacherTimes = tinyCorruption.timeDistribution, ...corruption } = change
  return {
    corruption: { ...tinyCorruption, timeDistribution: spanStart(tinyCorruption.timeDistribution, stepSize), ...corruption },
    teaching: { stepSize, teacherSteps, teacherTimes, seed: 3 }
  }
}

/** The two stages before `train`. */
const teaching = (change: Change = {}) => <E, R>(upstream: Stream.Stream<LatentBatch, E, R>) => {
  const { corruption, teaching } = options(change)
  return upstream.pipe(corrupt(corruption), teach(teaching))
}

const distilling = (change: Change = {}, trainChange: Partial<TrainOptions> = {}) => <E, R>(upstream: Stream.Stream<LatentBatch, E, R>) =>
  upstream.pipe(teaching(change), train({ ...tinyTraining, ...trainChange }))

const taught = (change: Change = {}, size = 8) => Effect.map(Stream.runCollect(teaching(change)(Stream.make(tinyBatch(0, size)))), ([batch]) => batch!)

const part = (values: Float32Array, row: number) => values.subarray(row * S * D, (row + 1) * S * D)

const rowsWith = ({ decoderActive }: TaughtBatch, flag: 0 | 1) => Array.from(decoderActive.keys()).filter((row) => decoderActive[row] === flag)

const elements = [0, 2, 4, 6].map((first) => tinyBatch(first, 2))

layer(Layer.provideMerge(tinyTeacher(), testEngine))("teach", (it) => {
  it.effect("adds the half, the times and the target, drops the flow's own target, and changes nothing else", () =>
    Effect.gen(function*() {
      const [corrupted] = yield* Stream.runCollect(corrupt(options().corruption)(Stream.make(tinyBatch(0, 8))))
      const { velocityTarget: _, ...before } = corrupted!
      const { predictionTarget, selfCondition, teacherTimes, ...kept } = yield* taught()
      assert.deepStrictEqual(kept, before)
      assert.deepStrictEqual([predictionTarget.length, selfCondition!.length, teacherTimes.length], [8 * S * D, 8 * S * D, 8 * 4])
    }))

  it.effect("decoder rows get the clean condition and zeros, no target, and times of 1", () =>
    Effect.gen(function*() {
      const batch = yield* taught({ decoderProbability: 1 })
      assert.isTrue(batch.conditionMask.includes(1))
      batch.selfCondition!.forEach((x, i) => assert.strictEqual(x, batch.conditionMask[Math.floor(i / D)] === 1 ? batch.clean[i] : 0))
      assert.isTrue(batch.predictionTarget.every((x) => x === 0))
      assert.isTrue(batch.teacherTimes.every((t) => t === 1))
    }))

  it.effect("each denoiser row's times go up from its t to a step of the student later", () =>
    Effect.gen(function*() {
      const batch = yield* taught()
      assert.isAbove(rowsWith(batch, 0).length, 2)
      for (const row of rowsWith(batch, 0)) {
        const times = batch.teacherTimes.subarray(row * 4, row * 4 + 4)
        assert.strictEqual(times[0], batch.t[row])
        assert.closeTo(times[3]!, batch.t[row]! + 1 / 4, 1e-6)
        assert.deepStrictEqual(times, times.toSorted())
      }
    }))

  it.effect("equal times are drawn times that lie at equal distances", () =>
    Effect.gen(function*() {
      const { corruption, teaching } = options({ teacherTimes: uniform })
      const source = recorded({ teacherTimes: Float32Array.from({ length: 16 }, (_, i) => (1 + i % 2) / 3) })
      const [drawn] = yield* Stream.make(tinyBatch(0, 8)).pipe(corrupt(corruption), teach({ ...teaching, source }), Stream.runCollect)
      const equal = yield* taught({ teacherTimes: "equal" })
      assertNear("flow", equal.teacherTimes, drawn!.teacherTimes, "times")
      assertNear("teacher", equal.predictionTarget, drawn!.predictionTarget, "target")
    }))

  it.effect("a row's target does not depend on its batch", () =>
    Effect.gen(function*() {
      const together = yield* taught()
      const apart = yield* Stream.runCollect(teaching()(Stream.fromIterable(elements)))
      apart.forEach((batch, i) => batch.indices.forEach((_, row) => {
        const target = part(together.predictionTarget, 2 * i + row)
        if (target.some((x) => x !== 0)) assertNear("teacher", part(batch.predictionTarget, row), target, `row ${2 * i + row}`)
        assert.deepStrictEqual(batch.teacherTimes.subarray(row * 4, row * 4 + 4), together.teacherTimes.subarray((2 * i + row) * 4, (2 * i + row + 1) * 4))
      }))
    }))

  it.effect("more steps of the teacher are another target", () =>
    Effect.gen(function*() {
      const once = yield* taught({ decoderProbability: 0, teacherSteps: 1 })
      const twice = yield* taught({ decoderProbability: 0, teacherSteps: 2 })
      assert.deepStrictEqual(twice.selfCondition, once.selfCondition)
      assert.isAbove(Math.max(...twice.predictionTarget.map((x, i) => Math.abs(x - once.predictionTarget[i]!))), 1e-3)
    }))

  it.effect("the target extrapolates the teacher's way; over no way at all it is the teacher's last prediction", () =>
    Effect.gen(function*() {
      const backend = yield* Backend
      const values = yield* backend.kernel("target", () => {
        const row = (...values: ReadonlyArray<number>) => tf.tensor3d([...values], [2, 1, 2])
        const [z, end, prediction] = [row(1, 2, 1, 2), row(2, 2, 2, 4), row(7, 8, 7, 8)]
        const rows = { z, clean: z, conditionMask: tf.zeros([2, 1]) as tf.Tensor2D }
        return Array.from(impliedPrediction(rows, { z: end, prediction }, [{ start: 0.5, end: 0.5009 }, { start: 0.5, end: 0.75 }]).dataSync())
      })
      assert.deepStrictEqual(values, [7, 8, 3, 6])
    }))

  it.effect("refuses steps that are none", () =>
    Effect.sync(() => {
      assert.throws(() => teach({ ...options().teaching, stepSize: 0 }), /teach: stepSize must be in \(0, 1\]/)
      assert.throws(() => teach({ ...options().teaching, teacherSteps: 0 }), /teach: teacherSteps must be an integer ≥ 1/)
    }))

  it.effect("chunking invariance", () => chunkingInvariant(teaching(), elements))
  it.effect("look-ahead before it changes nothing", () =>
    Effect.gen(function*() {
      const upstream = Stream.fromIterable(elements)
      assert.deepStrictEqual(yield* upstream.pipe(prefetch(2), teaching(), Stream.runCollect), yield* Stream.runCollect(teaching()(upstream)))
    }))
  it.effect("no tensor is left", () => noTensorLeft(teaching({ selfConditionProbability: 0 }), elements, misfitBatch(2)))
  it.effect("nothing is left after interruption", () => nothingLeftAfterInterruption(teaching(), (index: number) => tinyBatch(2 * index, 2)))
})

layer(Layer.provideMerge(tinyTeacher(), testEngine))("train on what a teacher makes", (it) => {
  it.effect("a student that is its teacher has nothing to learn from a teacher of one step", () =>
    Effect.gen(function*() {
      const { metrics: [step] } = yield* runOf(distilling({ teacherSteps: 1, decoderProbability: 0 })(Stream.make(tinyBatch(0, 8))))
      assert.isBelow(step!.denoiserLoss, 1e-9)
      const { metrics: [other] } = yield* runOf(distilling({ teacherSteps: 4, decoderProbability: 0 })(Stream.make(tinyBatch(0, 8))))
      assert.isAbove(other!.denoiserLoss, 1e-6)
    }))

  it.effect("learns: the loss of one batch goes down", () =>
    Effect.gen(function*() {
      const { metrics } = yield* runOf(distilling()(Stream.map(Stream.range(1, 12), () => tinyBatch(0, 4))))
      assert.isBelow(metrics.at(-1)!.loss, 0.8 * metrics[0]!.loss)
    }))

  it.effect("the loss is a mean over rows, of both branches together", () =>
    Effect.gen(function*() {
      const batch = yield* taught()
      const [losses] = yield* Stream.runCollect(evaluate(Stream.make(batch)))
      const [denoiser, decoder] = [rowsWith(batch, 0).length, rowsWith(batch, 1).length]
      assert.isAbove(Math.min(denoiser, decoder), 0)
      assert.closeTo(losses!.loss * 8, denoiser * losses!.denoiserLoss + decoder * losses!.decoderLoss, 1e-4)
      const single = Effect.map(Stream.runCollect(evaluate(teaching()(Stream.map(Stream.range(0, 7), (i) => tinyBatch(i, 1))))), (each) =>
        each.reduce((sum, { loss }) => sum + loss / 8, 0))
      assertNear("loss", [losses!.loss], [yield* single], "mean of single rows")
    }).pipe(Effect.provide(Layer.fresh(tinyNetwork()))))

  it.effect("a buffer between teach and train changes nothing, bit for bit", () =>
    Effect.gen(function*() {
      const reference = yield* runOf(distilling()(Stream.fromIterable(elements)))
      const buffered = yield* runOf(Stream.fromIterable(elements).pipe(teaching(), prefetch(2), train(tinyTraining)))
      assert.deepStrictEqual(buffered.metrics, reference.metrics)
      assert.deepStrictEqual(differences(buffered.end, reference.end), [])
    }))

  it.effect("no tensor is left", () => Effect.provide(noTensorLeft(distilling(), elements, misfitBatch(2)), tinyState()))
})

layer(Layer.provideMerge(tinyTeacher(tinyVariant), testEngine))("teach with the variant without scale tokens", (it) => {
  const change = { selfConditionScale: undefined, decoderProbability: 0 }

  it.effect("has a half only if the network was trained with one", () =>
    Effect.gen(function*() {
      assert.isDefined((yield* taught(change, 2)).selfCondition)
      const without = yield* taught({ ...change, selfConditionProbability: 0 }, 2)
      assert.isUndefined(without.selfCondition)
      assert.isTrue(without.predictionTarget.some((x) => x !== 0))
    }))
})
