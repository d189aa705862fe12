import { assert, layer } from "@effect/vitest"
import { Effect, Exit, Fiber, Stream } from "effect"
import { Backend } from "../../src/model/Backend.ts"
import { TrainState } from "../../src/model/TrainState.ts"
import { corrupt } from "../../src/streams/corrupt.ts"
import { type LatentBatch, prefetch } from "../../src/streams/index.ts"
import { selfCondition } from "../../src/streams/selfCondition.ts"
import { StaleBatchError, train } from "../../src/streams/train.ts"
import { testEngine } from "../support/backend.ts"
import { noTensorLeft, nothingLeftAfterInterruption } from "../support/deviceLaws.ts"
import { misfitBatch, tiny, tinyBatch, tinyCorruption, tinyState, tinyTensors, tinyTraining } from "../support/tinyModel.ts"
import { batches, differences, failsUnchanged, runOf, takeSnapshot, training } from "../support/training.ts"
import { assertNear } from "../support/tolerances.ts"

layer(testEngine)("train", (it) => {
  it.effect("one report a batch, in order, with the place where packing goes on", () =>
    Effect.gen(function*() {
      const { end, metrics } = yield* runOf(training()(batches(4)))
      assert.deepStrictEqual(metrics.map(({ step }) => step), [1, 2, 3, 4])
      assert.deepStrictEqual(metrics.map(({ updates }) => updates), [1, 2, 3, 4])
      assert.deepStrictEqual(metrics.map(({ resume }) => resume?.documents), [2, 4, 6, 8])
      assert.isTrue(metrics.every(({ gradientNorm, loss, tokens }) => loss > 0 && gradientNorm! > 0 && tokens === 2 * tiny.length))
      assert.deepStrictEqual([end.step, end.updates, end.accumulated.length], [4, 4, 0])
    }))

  it.effect("learns: the loss of one batch goes down", () =>
    Effect.gen(function*() {
      const { metrics } = yield* runOf(training()(Stream.map(Stream.range(1, 15), () => tinyBatch(0, 4))))
      assert.isBelow(metrics.at(-1)!.loss, 0.7 * metrics[0]!.loss)
    }))

  it.effect("the average follows the weights: average ← decay · average + (1 − decay) · weights", () =>
    Effect.gen(function*() {
      const { end } = yield* runOf(training({ emaDecay: 0.75 })(batches(1)))
      const initial = tinyTensors()
      end.average.forEach(({ data, name }, i) => {
        const expected = data.map((_, j) => 0.75 * initial[i]!.data[j]! + 0.25 * end.model[i]!.data[j]!)
        assertNear("optimizer", data, expected, name)
      })
    }))

  it.effect("gradients are clipped to the limit", () =>
    Effect.gen(function*() {
      const one = (clipNorm: number) => runOf(training({ clipNorm })(batches(1)))
      const [loose, tight] = [yield* one(1e9), yield* one(1e-3)]
      assert.deepStrictEqual(loose.metrics, tight.metrics)
      const mean = ({ end }: typeof tight) => end.moments.find(({ name }) => name === "mean/proj_bias")!.data
      const shrunk = mean(loose).map((x) => x * 1e-3 / loose.metrics[0]!.gradientNorm!)
      assertNear("gradient", mean(tight), shrunk, "clipped moment")
    }))

  it.effect("two half batches with as many counted tokens make the update of the whole batch", () =>
    Effect.gen(function*() {
      const full = (first: number, size: number): LatentBatch => {
        const batch = tinyBatch(first, size)
        return { ...batch, attentionMask: new Float32Array(size * tiny.length).fill(1), conditionMask: new Float32Array(size * tiny.length) }
      }
      const whole = yield* runOf(training()(Stream.make(full(0, 4))))
      const halves = yield* runOf(training({ gradientAccumulation: 2 })(Stream.make(full(0, 2), full(2, 2))))
      assert.deepStrictEqual(halves.metrics.map(({ updates }) => updates), [0, 1])
      assert.isUndefined(halves.metrics[0]!.gradientNorm)
      assertNear("gradient", [halves.metrics[1]!.gradientNorm!], [whole.metrics[0]!.gradientNorm!], "norm")
      assertNear("loss", [(halves.metrics[0]!.loss + halves.metrics[1]!.loss) / 2], [whole.metrics[0]!.loss], "loss")
      for (const part of ["model", "average", "moments"] as const) {
        halves.end[part].forEach(({ data, name }, i) => assertNear("trajectory", data, whole.end[part][i]!.data, `${part} ${name}`))
      }
    }))

  it.effect("a kernel that fails leaves the state as it was", () =>
    Effect.gen(function*() {
      const unconditioned = corrupt({ ...tinyCorruption, selfConditionProbability: 0 })
      const [batch] = yield* Stream.make(misfitBatch(2)).pipe(unconditioned, selfCondition, Stream.runCollect)
      yield* failsUnchanged(Stream.make(batch!).pipe(train(tinyTraining)), "KernelError")
    }).pipe(Effect.provide(tinyState())))

  it.effect("a buffer between selfCondition and train is refused", () =>
    Effect.gen(function*() {
      const buffered = batches(6).pipe(corrupt(tinyCorruption), selfCondition, prefetch(2), train(tinyTraining))
      const error = yield* Effect.flip(Stream.runDrain(buffered))
      assert.instanceOf(error, StaleBatchError)
      assert.match(error.message, /self-conditioned after 0 updates, but there have been 1/)
      assert.match(error.message, /Put prefetch or buffer before selfCondition/)
      assert.strictEqual((yield* TrainState).step, 1)
    }).pipe(Effect.provide(tinyState())))

  it.effect("results do not depend on the look-ahead before corrupt, nor on chunks, bit for bit", () =>
    Effect.gen(function*() {
      const reference = yield* runOf(training()(batches(3)))
      const single = Stream.fromArrays(...[0, 1, 2].map((i) => [tinyBatch(i * 2, 2)]))
      const others = [
        ...[1, 3].map((depth) => batches(3).pipe(prefetch(depth), training())),
        batches(3).pipe(corrupt(tinyCorruption), prefetch(2), selfCondition, train(tinyTraining)),
        training()(single)
      ]
      for (const other of others) {
        const { end, metrics } = yield* runOf(other)
        assert.deepStrictEqual(metrics, reference.metrics)
        assert.deepStrictEqual(differences(end, reference.end), [])
      }
    }))

  it.effect("no tensor is left", () =>
    Effect.provide(noTensorLeft(training(), [0, 2, 4].map((first) => tinyBatch(first, 2)), misfitBatch(2)), tinyState()))

  it.effect("accumulated gradients are given back with their update", () =>
    Effect.gen(function*() {
      const { live } = yield* Backend
      const before = yield* live
      const counts: Array<number> = []
      const count = Effect.map(live, (now) => { counts.push(now - before) })
      yield* Stream.runForEach(training({ gradientAccumulation: 2 })(batches(4)), () => count)
      const parameters = tinyTensors().length
      assert.deepStrictEqual(counts, [parameters, 0, parameters, 0])
    }).pipe(Effect.provide(tinyState())))

  it.effect("nothing is left after interruption", () =>
    Effect.provide(nothingLeftAfterInterruption(training(), (index: number) => tinyBatch(2 * index, 2)), tinyState()))

  it.effect("an interrupted run has taken whole steps: it goes on to the same end", () =>
    Effect.gen(function*() {
      const state = yield* TrainState
      const fiber = yield* Effect.forkChild(Stream.runDrain(training()(Stream.map(Stream.range(0, 500), (i) => tinyBatch(i * 2, 2)))))
      while (state.step < 3) yield* Effect.yieldNow
      yield* Fiber.interrupt(fiber)
      const { end } = yield* runOf(training()(batches(state.step)))
      assert.deepStrictEqual(differences(yield* takeSnapshot, end), [])
    }).pipe(Effect.provide(tinyState())))

  it.effect("the state's tensors live as long as its layer", () =>
    Effect.gen(function*() {
      const { live } = yield* Backend
      const before = yield* live
      for (const gradientAccumulation of [1, 2]) {
        yield* runOf(training({ gradientAccumulation })(batches(3)))
        assert.strictEqual(yield* live, before)
      }
      const exit = yield* Effect.exit(runOf(training()(Stream.make(misfitBatch(2)))))
      assert.isTrue(Exit.isFailure(exit))
      assert.strictEqual(yield* live, before)
    }))
})
