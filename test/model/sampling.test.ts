/** Samples from noise to tokens through the stages sample and decode, against the reference. */
import { assert, describe, it, layer } from "@effect/vitest"
import { Effect, Stream } from "effect"
import { answers, compareSample, modelOf, samplingStates, type SamplingCase, timeGrid } from "../../bench/parity/cases/sampling.ts"
import { rowsOf } from "../../bench/parity/rows.ts"
import { Backend } from "../../src/model/Backend.ts"
import { casesWith, directory, fixture, fixtureCase } from "../support/fixtures.ts"
import { assertFindings } from "../support/parity.ts"
import { referenceNetwork } from "../support/reference.ts"

const cases = casesWith("sample_")
const sampleCase = (name: string) => fixtureCase(name) as SamplingCase

for (const model of ["model", "model_variant"]) {
  layer(referenceNetwork(model))(`samples of ${model}`, (it) => {
    for (const name of cases.filter((name) => modelOf(directory, sampleCase(name)) === model)) {
      it.effect(name, () =>
        Effect.gen(function*() {
          const backend = yield* Backend
          const recorded = fixture(name)
          const each = sampleCase(name)
          const before = yield* backend.live
          const states = yield* samplingStates(recorded, each).pipe(
            Stream.tap(() => Effect.map(backend.live, (live) => assert.strictEqual(live, before, "live tensors"))),
            Stream.runCollect
          )
          assert.deepStrictEqual(states.map(({ step }) => step), [...timeGrid(recorded, each)])
          const findings = yield* compareSample(recorded, each, states)
          assertFindings(name, findings)
          const compared = new Set(findings.map(({ array }) => array))
          assert.includeMembers([...compared], ["t_steps", "tokens_raw", "tokens_final", ...recorded.names.filter((key) => /_after\d+$/.test(key))])
          assert.isAtMost(recorded.floats("token_margin").filter((margin) => margin < 1e-3).length, 2, "tokens that rounding decides")
        }))
    }
  })
}

describe("every case", () => {
  it("belongs to one of the two models", () => {
    const used = new Set(cases.map((name) => modelOf(directory, sampleCase(name))))
    assert.deepStrictEqual([...used].sort(), ["model", "model_variant"])
  })
})

describe("answers", () => {
  for (const name of cases) {
    it(`${name}: shifted over the condition and ended at EOS`, () => {
      const recorded = fixture(name)
      assert.deepStrictEqual(answers(recorded, sampleCase(name)).final, rowsOf(recorded.integers("tokens_final"), recorded.shape("tokens_final")[1]!))
    })
  }

  it("the reference's SDE sampler takes its last step without churn", () => {
    for (const name of cases) {
      const { config, scalars } = sampleCase(name)
      const kinds = scalars.step_kinds
      const churned = fixture(name).names.filter((key) => key.startsWith("eps")).length
      assert.strictEqual(churned, config.sampling_method === "ode" ? 0 : kinds.length - 1)
      assert.strictEqual(kinds.at(-1), "ode")
    }
  })
})
