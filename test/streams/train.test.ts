import { assert, layer } from "@effect/vitest"
import { Effect, Exit, Fiber, Stream } from "effect"
import { Backend } from "../../src/model/Backend.ts"
import { restore, TrainState } from "../../src/model/TrainState.ts"
import { corrupt } from "../../src/streams/corrupt.ts"
import { type LatentBatch, prefetch } from "../../src/streams/index.ts"
import { selfCondition, type SelfConditionedBatch } from "../../src/streams/selfCondition.ts"
import { divergedBranch } from "../../src/streams/divergedBranch.ts"
import { DivergedError } from "../../src/streams/DivergedError.ts"
import { StaleBatchError, train } from "../../src/streams/train.ts"
import { testEngine } from "../support/backend.ts"
import { noTensorLeft, nothingLeftAfterInterruption } from "../support/deviceLaws.ts"
import { misfitBatch, tiny, tinyBatch, tinyCorruption, tinyState, tinyTensors, tinyTraining } from "../support/tinyModel.ts"
import { batches, differences, runOf, takeSnapshot, training } from "../support/training.ts"
import { assertNear } from "../support/tolerances.ts"

/** Batches ready for their step. */
const prepared = (count: number, size = 2) => batches(count, size).pipe(corrupt(tinyCorruption), selfCondition, Stream.runCollect)

interface Failure {
  readonly _tag: string
  readonly message: string
}

/** Checks that `stream` fails with `tag` and that the training state is what it was, bit for bit. */
const failsUnchanged = Effect.fnUntraced(function*<A, E extends Failure, R>(stream: Stream.Stream<A, E, R>, tag: string) {
  const { live } = yield* Backend
  const before = yield* takeSnapshot
  const tensors = yield* live
  const error = yield* Effect.flip(Stream.runDrain(stream))
  assert.strictEqual(error._tag, tag, error.message)
  assert.deepStrictEqual(differences(yield* takeSnapshot, before), [])
  assert.strictEqual(yield* live, tensors, "live tensors")
  return error
})

/** A finite loss whose gradient's norm is not: targets of 2.5 · 10¹⁸, and 1/(1 − t) as large as it gets. */
const steep = (batch: SelfConditionedBatch): SelfConditionedBatch => ({
  ...batch,
  t: batch.t.map(() => 1),
  velocityTarget: batch.velocityTarget.map(() => 2.5e18)
})

const withFirst = <T extends Float32Array>(values: T, value: number): Float32Array => Float32Array.from(values).fill(value, 0, 1)

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
