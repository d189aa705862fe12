/** Newton–Schulz, the optimisers, the moving average and the learning rate against the reference. */
import * as tf from "@tensorflow/tfjs-core"
import { assert, describe, it, layer } from "@effect/vitest"
import { Effect } from "effect"
import { gradientsAt, optimizerOptions, type OptimizerSettings } from "../../bench/parity/cases/optimizer.ts"
import { Backend } from "../../src/model/Backend.ts"
import { newtonSchulz } from "../../src/model/NewtonSchulz.ts"
import { clipScale, initialState, step } from "../../src/model/Optimizer.ts"
import { dispose, upload } from "../../src/model/Parameters.ts"
import { testEngine } from "../support/backend.ts"
import { fixture, fixtureCase } from "../support/fixtures.ts"
import { assertCase } from "../support/parity.ts"
import { relativeError } from "../support/tolerances.ts"

layer(testEngine)("one update", (it) => {
  it.effect("newton_schulz: square, wide, tall, nearly square, zero", () =>
    Effect.gen(function*() {
      const { rows } = yield* assertCase("newton_schulz")
      assert.deepStrictEqual(rows.map(({ array }) => array).sort(), ["out0", "out1", "out2", "out3", "out4", "out_zero"])
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
    it.effect(`${name}: rates, clipping, five updates, moments and moving averages`, () =>
      Effect.gen(function*() {
        const { rows } = yield* assertCase(name)
        const count = (prefix: string) => rows.filter(({ array }) => array.startsWith(prefix)).length
        const each = fixture(name).group("step0.").length
        assert.isAbove(each, 0)
        for (const prefix of ["step0.", "step1.", "step2.", "step3.", "step4.", "ema0.9.", "ema0.9999."]) assert.strictEqual(count(prefix), each, prefix)
        assert.strictEqual(count("grad_norms["), 5)
        assert.isAtLeast(count("state."), each)
        assert.strictEqual(count("updates"), 1)
      }))
  }

  it.effect("a rate of 0 changes moments and no weight", () =>
    Effect.gen(function*() {
      const backend = yield* Backend
      const recorded = fixture("optim_muon")
      const options = optimizerOptions(fixtureCase<OptimizerSettings>("optim_muon").config)
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

  it.effect("lr_schedules: every schedule", () =>
    Effect.gen(function*() {
      const { rows } = yield* assertCase("lr_schedules")
      assert.deepStrictEqual(rows.map(({ array }) => array), Object.keys(fixtureCase<unknown, object>("lr_schedules").scalars))
    }))
})

describe("clipping", () => {
  it("scales a norm over the limit down to it and leaves others", () => {
    assert.closeTo(clipScale(4, 1) * 4, 1, 1e-6)
    assert.strictEqual(clipScale(0.5, 1), 1)
    assert.strictEqual(clipScale(0, 1), 1)
  })
})
