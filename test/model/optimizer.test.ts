/** Newton–Schulz, the optimisers, the moving average and the learning rate against the reference. */
import * as tf from "@tensorflow/tfjs-core"
import { assert, describe, it, layer } from "@effect/vitest"
import { Effect } from "effect"
import { Backend } from "../../src/model/Backend.ts"
import { initialAverage, updateAverage } from "../../src/model/Ema.ts"
import { learningRate, type LearningRateOptions } from "../../src/model/LearningRate.ts"
import { newtonSchulz } from "../../src/model/NewtonSchulz.ts"
import { clipScale, globalNorm, initialState, type OptimizerOptions, step } from "../../src/model/Optimizer.ts"
import { dispose, type Parameters, upload } from "../../src/model/Parameters.ts"
import { testEngine } from "../support/backend.ts"
import { type Fixture, fixture, fixtureCase } from "../support/fixtures.ts"
import { assertNear, relativeError } from "../support/tolerances.ts"

interface Settings {
  readonly optimizer: "muon" | "adamw"
  readonly weight_decay: number
  readonly adam_b1: number
  readonly adam_b2: number
}

interface Course {
  readonly lr_used: ReadonlyArray<number>
  readonly grad_norms: ReadonlyArray<number>
}

const optimizerCase = (name: string) => fixtureCase<Settings, Course>(name)

const optimizerOptions = (config: Settings): OptimizerOptions => ({
  kind: config.optimizer,
  weightDecay: config.weight_decay,
  beta1: config.adam_b1,
  beta2: config.adam_b2
})

/** A parameter without a recorded gradient has gradient 0. */
const gradientsAt = (recorded: Fixture, index: number, parameters: Parameters): Parameters =>
  Object.fromEntries(Object.entries(parameters).map(([name, value]) => {
    const key = `grad${index}.${name}`
    return [name, recorded.has(key) ? recorded.tensor(key) : tf.zerosLike(value)]
  }))

const assertParameters = (actual: Parameters, expected: ReadonlyArray<{ readonly name: string; readonly data: Float32Array }>, what: string) => {
  assert.isAbove(expected.length, 0)
  for (const { data, name } of expected) assertNear("optimizer", actual[name]!.dataSync(), data, `${what}: ${name}`)
}

/** The reference's names of our moments. */
const recordedMoment = (name: string): string => {
  const [part, ...rest] = name.split("/")
  const theirs = { momentum: "momentum_buffer", mean: "exp_avg", variance: "exp_avg_sq" }[part!]
  return `state.${rest.join("/")}.${theirs}`
}

layer(testEngine)("one update", (it) => {
  it.effect("newton_schulz: square, wide, tall, nearly square, zero", () =>
    Effect.gen(function*() {
      const backend = yield* Backend
      const recorded = fixture("newton_schulz")
      const before = yield* backend.live
      for (const name of ["0", "1", "2", "3", "4", "_zero"]) {
        const actual = yield* backend.kernel(name, () => newtonSchulz(recorded.tensor(`in${name}`)).dataSync())
        assertNear("optimizer", actual, recorded.floats(`out${name}`), `newton_schulz: ${name}`)
      }
      assert.strictEqual(yield* backend.live, before)
    }))

  it.effect("Newton–Schulz makes all singular values about 1", () =>
    Effect.gen(function*() {
      const backend = yield* Backend
      const gram = yield* backend.kernel("gram", () => {
        const orthogonal = newtonSchulz(tf.randomNormal([12, 40], 0, 1, "float32", 7))
        return tf.matMul(orthogonal, orthogonal, false, true).arraySync() as Array<Array<number>>
      })
      gram.forEach((row, i) => row.forEach((x, j) => assert.closeTo(x, i === j ? 1 : 0, 0.45)))
    }))

  for (const name of ["optim_muon", "optim_adamw"]) {
    it.effect(`${name}: clipping, five updates, moments and moving averages`, () =>
      Effect.gen(function*() {
        const backend = yield* Backend
        const recorded = fixture(name)
        const { config, scalars } = optimizerCase(name)
        const options = optimizerOptions(config)
        const before = yield* backend.live
        yield* backend.kernel(name, () => {
          const parameters = upload(recorded.group("init."))
          const state = initialState(options, parameters)
          const averages = [0.9, 0.9999].map((decay) => ({ decay, average: initialAverage(parameters) }))
          scalars.lr_used.forEach((rate, i) => {
            const gradients = gradientsAt(recorded, i, parameters)
            const norm = globalNorm(gradients)
            assert.closeTo(norm / scalars.grad_norms[i]!, 1, 1e-6)
            step(options, parameters, state, gradients, { learningRate: rate, gradientScale: clipScale(norm, 1) })
            for (const { average, decay } of averages) updateAverage(average, parameters, decay)
            assertParameters(parameters, recorded.group(`step${i}.`), `${name}: step ${i}`)
          })
          assert.strictEqual(state.updates, scalars.lr_used.length)
          for (const { average, decay } of averages) assertParameters(average, recorded.group(`ema${decay}.`), `${name}: average ${decay}`)
          const moments = Object.fromEntries(Object.entries(state.moments).map(([key, value]) => [recordedMoment(key), value]))
          assertParameters(moments, recorded.group("").filter((each) => each.name.startsWith("state.")), `${name}: moments`)
          for (const held of [parameters, state.moments, ...averages.map(({ average }) => average)]) dispose(held)
        })
        assert.strictEqual(yield* backend.live, before)
      }))
  }

  it.effect("a rate of 0 changes moments and no weight", () =>
    Effect.gen(function*() {
      const backend = yield* Backend
      const recorded = fixture("optim_muon")
      const options = optimizerOptions(optimizerCase("optim_muon").config)
      const unchanged = yield* backend.kernel("idle", () => {
        const parameters = upload(recorded.group("init."))
        const state = initialState(options, parameters)
        step(options, parameters, state, gradientsAt(recorded, 0, parameters), { learningRate: 0, gradientScale: 1 })
        const moved = Object.values(state.moments).every((moment) => tf.max(tf.abs(moment)).dataSync()[0]! > 0)
        const errors = recorded.group("init.").map(({ data, name }) => relativeError(parameters[name]!.dataSync(), data))
        dispose(parameters)
        dispose(state.moments)
        return { moved, worst: Math.max(...errors) }
      })
      assert.deepStrictEqual(unchanged, { moved: true, worst: 0 })
    }))
})

describe("clipping", () => {
  it("scales a norm over the limit down to it and leaves others", () => {
    assert.closeTo(clipScale(4, 1) * 4, 1, 1e-6)
    assert.strictEqual(clipScale(0.5, 1), 1)
    assert.strictEqual(clipScale(0, 1), 1)
  })
})

describe("lr_schedules", () => {
  interface Schedule {
    readonly args: readonly [steps: number, warmup: number, peak: number, schedule: LearningRateOptions["schedule"], minimum: number]
    readonly steps: ReadonlyArray<number>
    readonly values: ReadonlyArray<number>
  }
  const schedules = fixtureCase<unknown, Record<string, Schedule>>("lr_schedules").scalars
  for (const [name, { args: [steps, warmupSteps, peak, schedule, minimumLearningRate], steps: at, values }] of Object.entries(schedules)) {
    it(name, () => {
      const options = { learningRate: peak, schedule, warmupSteps, minimumLearningRate, steps }
      at.forEach((step, i) => assert.closeTo(learningRate(options, step), values[i]!, 1e-9, `step ${step}`))
    })
  }
})
