/** Several training steps through corrupt, selfCondition and train: losses, norms, weights and averages against the reference. */
import { assert, layer } from "@effect/vitest"
import { Effect, Layer, Option, Stream } from "effect"
import type { RandomSource } from "../../src/flow/Random.ts"
import { Backend } from "../../src/model/Backend.ts"
import type { HostTensor } from "../../src/model/Parameters.ts"
import { snapshot, TrainState, type TrainSnapshot } from "../../src/model/TrainState.ts"
import { corrupt } from "../../src/streams/corrupt.ts"
import type { LatentBatch } from "../../src/streams/index.ts"
import { selfCondition } from "../../src/streams/selfCondition.ts"
import { type StepMetrics, train, type TrainOptions } from "../../src/streams/train.ts"
import { testEngine } from "../support/backend.ts"
import { casesWith, type Fixture, fixture, type FixtureCase, fixtureCase } from "../support/fixtures.ts"
import { corruptionOptions, type CorruptionSettings, recordedStep, referenceWeights } from "../support/reference.ts"
import { assertNear } from "../support/tolerances.ts"

interface Settings extends CorruptionSettings {
  readonly optimizer: "muon" | "adamw"
  readonly weight_decay: number
  readonly adam_b1: number
  readonly adam_b2: number
  readonly grad_accum_steps: number
  readonly ema_decay1: number
  readonly lr: number
  readonly warmup: number
}

interface Course {
  readonly metrics: ReadonlyArray<{ readonly loss: number; readonly l2_loss: number; readonly ce_loss: number }>
  readonly lr_used: ReadonlyArray<number>
  /** null on a batch that only accumulates. */
  readonly grad_norms: ReadonlyArray<number | null>
}

const trajectoryCase = (name: string) => fixtureCase<Settings, Course>(name)

const trainOptions = ({ config, scalars }: FixtureCase<Settings, Course>): TrainOptions => ({
  learningRate: config.lr,
  schedule: "constant",
  warmupSteps: config.warmup,
  minimumLearningRate: 0,
  steps: scalars.metrics.length,
  optimizer: { kind: config.optimizer, weightDecay: config.weight_decay, beta1: config.adam_b1, beta2: config.adam_b2 },
  clipNorm: 1,
  gradientAccumulation: config.grad_accum_steps,
  emaDecay: config.ema_decay1
})

/** The same rows at every step, keyed by their place in the stream. */
const batchAt = (recorded: Fixture, step: number): LatentBatch => {
  const [size, length, width] = recorded.shape("x0_encoded") as [number, number, number]
  return {
    size,
    length,
    width,
    ids: recorded.integers("input_ids"),
    latents: recorded.floats("x0_encoded"),
    attentionMask: recorded.floats("attention_mask"),
    conditionMask: recorded.floats("cond_seq_mask"),
    labelDropped: new Uint8Array(size),
    indices: Array.from({ length: size }, (_, row) => step * size + row)
  }
}

/** The draws of all steps: the row of index i belongs to step ⌊i / size⌋. */
const recordedRun = (recorded: Fixture, size: number): RandomSource => {
  const steps = new Map<number, RandomSource>()
  const of = (index: number): RandomSource => {
    const step = Math.floor(index / size)
    if (!steps.has(step)) steps.set(step, recordedStep(recorded, `s${step}.`))
    return steps.get(step)!
  }
  return {
    normal: (key, length) => of(key.index).normal({ ...key, index: key.index % size }, length),
    uniform: (key, length) => of(key.index).uniform({ ...key, index: key.index % size }, length)
  }
}

const assertWeights = (actual: TrainSnapshot["model"], expected: ReadonlyArray<HostTensor>, what: string) => {
  assert.isAbove(expected.length, 5)
  const values = new Map(actual.map(({ data, name }) => [name, data]))
  for (const { data, name } of expected) assertNear("trajectory", values.get(name)!, data, `${what}: ${name}`)
}

const assertMetrics = (name: string, { scalars }: FixtureCase<Settings, Course>, metrics: StepMetrics, accumulation: number): void => {
  const index = metrics.step - 1
  const expected = scalars.metrics[index]!
  assertNear("trajectoryLoss", [metrics.loss], [expected.loss], `${name}: loss ${index}`)
  assertNear("trajectoryLoss", [metrics.denoiserLoss], [expected.l2_loss], `${name}: denoiser loss ${index}`)
  assertNear("trajectoryLoss", [metrics.decoderLoss], [expected.ce_loss], `${name}: decoder loss ${index}`)
  assert.closeTo(metrics.learningRate, scalars.lr_used[index]!, 1e-12)
  assert.strictEqual(metrics.updates, Math.floor(metrics.step / accumulation))
  const norm = scalars.grad_norms[index]
  if (norm === null) assert.isUndefined(metrics.gradientNorm)
  else assertNear("trajectory", [metrics.gradientNorm!], [norm!], `${name}: norm ${index}`)
}

const initial = referenceWeights("model")

layer(testEngine)("train", (it) => {
  for (const name of casesWith("traj_")) {
    it.effect(name, () => {
      const recorded = fixture(name)
      const trajectory = trajectoryCase(name)
      const options = trainOptions(trajectory)
      const steps = trajectory.scalars.metrics.length
      const size = recorded.shape("input_ids")[0]!
      return Effect.gen(function*() {
        const backend = yield* Backend
        const state = yield* TrainState
        const take = backend.kernel("snapshot", () => snapshot(state))
        const before = yield* take
        const seen: Array<{ readonly metrics: StepMetrics; readonly after: TrainSnapshot }> = []
        yield* Stream.range(0, steps - 1).pipe(
          Stream.map((step) => batchAt(recorded, step)),
          corrupt({ ...corruptionOptions(trajectoryCase(name).config), source: recordedRun(recorded, size) }),
          selfCondition,
          train(options),
          Stream.runForEach((metrics) => Effect.map(take, (after) => { seen.push({ metrics, after }) }))
        )
        assert.strictEqual(seen.length, steps)
        let previous = before
        for (const { after, metrics } of seen) {
          assertMetrics(name, trajectory, metrics, options.gradientAccumulation)
          if (metrics.learningRate === 0 || metrics.gradientNorm === undefined) assert.deepStrictEqual(after.model, previous.model)
          else assertWeights(after.model, recorded.group(`step${metrics.step - 1}.`), `${name}: step ${metrics.step - 1}`)
          previous = after
        }
        if (recorded.names.some((key) => key.startsWith("final."))) assertWeights(previous.model, recorded.group("final."), `${name}: final`)
        assertWeights(previous.average, recorded.group("ema09."), `${name}: average`)
        assert.strictEqual(previous.accumulated.length, 0)
      }).pipe(Effect.provide(TrainState.layer({ config: initial.config, optimizer: options.optimizer, from: initial.tensors })))
    })
  }

  it.effect("a run that goes on from a snapshot takes the same steps", () => {
    const name = "traj_mixed_accum2"
    const recorded = fixture(name)
    const options = trainOptions(trajectoryCase(name))
    const size = recorded.shape("input_ids")[0]!
    const run = (from: Parameters<typeof TrainState.layer>[0]["from"], first: number, last: number) =>
      Effect.gen(function*() {
        const metrics = yield* Stream.range(first, last).pipe(
          Stream.map((step) => batchAt(recorded, step)),
          corrupt({ ...corruptionOptions(trajectoryCase(name).config), source: recordedRun(recorded, size) }),
          selfCondition,
          train(options),
          Stream.runLast
        )
        const state = yield* TrainState
        return { metrics: Option.getOrThrow(metrics), end: yield* (yield* Backend).kernel("snapshot", () => snapshot(state)) }
      }).pipe(Effect.provide(Layer.fresh(TrainState.layer({ config: initial.config, optimizer: options.optimizer, from }))))
    return Effect.gen(function*() {
      const whole = yield* run(initial.tensors, 0, 3)
      // Batch 2 is the first of two that make the second update: its gradients are in the snapshot.
      const half = yield* run(initial.tensors, 0, 2)
      assert.isAbove(half.end.accumulated.length, 0)
      assert.deepStrictEqual(yield* run(half.end, 3, 3), whole)
    })
  })
})
