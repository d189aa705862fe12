/** Several training steps through corrupt, selfCondition and train: losses, norms, weights and averages against the reference. */
import { assert, layer } from "@effect/vitest"
import { Effect, Layer, Option, Stream } from "effect"
import { optimizerOptions } from "../../bench/parity/cases/optimizer.ts"
import { compareTrajectory, type Course, runTrajectory, trajectory, type TrajectorySettings } from "../../bench/parity/cases/trajectory.ts"
import { Backend } from "../../src/model/Backend.ts"
import { lazySnapshot, snapshot, TrainState } from "../../src/model/TrainState.ts"
import { testEngine } from "../support/backend.ts"
import { casesWith, fixture, fixtureCase } from "../support/fixtures.ts"
import { assertFindings } from "../support/parity.ts"
import { referenceWeights } from "../support/reference.ts"

const trajectoryCase = (name: string) => fixtureCase<TrajectorySettings, Course>(name)

const initial = referenceWeights("model")

layer(testEngine)("train", (it) => {
  for (const name of casesWith("traj_")) {
    it.effect(name, () =>
      Effect.gen(function*() {
        const recorded = fixture(name)
        const each = trajectoryCase(name)
        const { live } = yield* Backend
        const aliveBefore = yield* live
        const run = yield* runTrajectory(recorded, each, initial)
        assert.strictEqual(yield* live, aliveBefore, "live tensors")
        assertFindings(name, compareTrajectory(recorded, each, run))
        let previous = run.before
        for (const { after, metrics } of run.seen) {
          assert.strictEqual(metrics.updates, Math.floor(metrics.step / each.config.grad_accum_steps))
          if (metrics.learningRate === 0 || metrics.gradientNorm === undefined) assert.deepStrictEqual(after.model, previous.model)
          else assert.isAbove(recorded.group(`step${metrics.step - 1}.`).length, 5)
          previous = after
        }
        assert.strictEqual(previous.accumulated.length, 0)
        assert.isAbove(recorded.group("ema09.").length, 5)
      }))
  }

  it.effect("a run that goes on from a snapshot takes the same steps", () => {
    const name = "traj_mixed_accum2"
    const recorded = fixture(name)
    const each = trajectoryCase(name)
    const run = (from: Parameters<typeof TrainState.layer>[0]["from"], first: number, last: number) =>
      Effect.gen(function*() {
        const metrics = yield* Stream.runLast(trajectory(recorded, each, first, last))
        const state = yield* TrainState
        return { metrics: Option.getOrThrow(metrics), end: yield* (yield* Backend).kernel("snapshot", () => snapshot(state)) }
      }).pipe(Effect.provide(Layer.fresh(TrainState.layer({ config: initial.config, optimizer: optimizerOptions(each.config), from }))))
    return Effect.gen(function*() {
      const whole = yield* run(initial.tensors, 0, 3)
      // Batch 2 is the first of two that make the second update: its gradients are in the snapshot.
      const half = yield* run(initial.tensors, 0, 2)
      assert.isAbove(half.end.accumulated.length, 0)
      assert.deepStrictEqual(yield* run(half.end, 3, 3), whole)
    })
  })

  it.effect("a lazy snapshot reads what a snapshot holds, and nothing any more once the state has gone on", () => {
    const name = "traj_mixed_accum2"
    const recorded = fixture(name)
    const each = trajectoryCase(name)
    return Effect.gen(function*() {
      yield* Stream.runDrain(trajectory(recorded, each, 0, 2))
      const backend = yield* Backend
      const lazy = yield* lazySnapshot
      const alive = yield* backend.live
      const state = yield* TrainState
      const whole = yield* backend.kernel("snapshot", () => snapshot(state))
      for (const section of ["model", "average", "moments", "accumulated"] as const) {
        assert.isAbove(lazy[section].length, 0)
        const read = yield* Effect.forEach(lazy[section], ({ name, read, shape }) => Effect.map(read, (data) => ({ name, shape, data })))
        assert.deepStrictEqual(read, [...whole[section]])
      }
      assert.deepStrictEqual([lazy.step, lazy.updates, yield* backend.live], [whole.step, whole.updates, alive])
      yield* Stream.runDrain(trajectory(recorded, each, 3, 3))
      const error = yield* Effect.flip(lazy.average[0]!.read)
      assert.strictEqual(error._tag, "KernelError")
      assert.include(error.message, "save it before the next step")
    }).pipe(Effect.provide(Layer.fresh(TrainState.layer({ config: initial.config, optimizer: optimizerOptions(each.config), from: initial.tensors }))))
  })
})
