/** Samples from noise to tokens through the stages sample and decode, against the reference. */
import { assert, describe, it, layer } from "@effect/vitest"
import { Effect, Stream } from "effect"
import { Random, Solver, TimeGrid } from "../../src/flow/index.ts"
import { Backend } from "../../src/model/Backend.ts"
import { decode, trimAnswer } from "../../src/streams/decode.ts"
import { sample, type SampleOptions } from "../../src/streams/sample.ts"
import { casesWith, type Fixture, fixture, fixtureCase } from "../support/fixtures.ts"
import { referenceNetwork, stepwise } from "../support/reference.ts"
import { assertNear } from "../support/tolerances.ts"

interface Settings {
  readonly num_sampling_steps: number
  readonly sampling_method: "ode" | "sde"
  readonly sampling_time_schedule: "logit_normal" | "uniform"
  readonly sde_gamma: number
  readonly cfg_scale: number
  readonly self_cond_cfg_scale: number
  readonly self_cond_prob: number
  readonly denoiser_noise_scale: number
  readonly denoiser_p_mean: number
  readonly denoiser_p_std: number
  readonly t_eps: number
  readonly pad_token: "pad" | "eos"
  readonly max_length: number
  readonly max_input_length: number | null
  readonly num_self_cond_cfg_tokens: number
}

const sampleCase = (name: string) => fixtureCase<Settings, { readonly step_kinds: ReadonlyArray<"ode" | "sde"> }>(name)

const timeGrid = (name: string, recorded: Fixture): ReadonlyArray<TimeGrid.TimeStep> => {
  const { config } = sampleCase(name)
  if (config.sampling_time_schedule === "uniform") return TimeGrid.uniform(config.num_sampling_steps)
  const timeGrid = recorded.has("t_steps_normal") ? recorded.floats("t_steps_normal") : new Float32Array(0)
  return TimeGrid.logitNormal({
    steps: config.num_sampling_steps,
    mean: config.denoiser_p_mean,
    standardDeviation: config.denoiser_p_std,
    source: Random.recorded({ timeGrid })
  })
}

/** The churn of every step that was recorded: all but the last of an SDE sampler, none of an ODE sampler. */
const churn = (recorded: Fixture): Float32Array => {
  const names = recorded.names.filter((key) => key.startsWith("eps"))
  return Float32Array.from(names.flatMap((_, step) => [...recorded.floats(`eps${step}`)]))
}

const solverOf = (config: Settings): Solver.Solver =>
  config.sampling_method === "ode" ? Solver.euler : Solver.sde({ gamma: config.sde_gamma, noiseScale: config.denoiser_noise_scale })

const optionsOf = (name: string, recorded: Fixture): SampleOptions & Random.Seeded => {
  const { config } = sampleCase(name)
  const size = recorded.shape("z_normal")[0]!
  return {
    solver: solverOf(config),
    keys: Array.from({ length: size }, (_, row) => row),
    noiseScale: config.denoiser_noise_scale,
    timeEpsilon: config.t_eps,
    selfConditionScale: config.self_cond_cfg_scale,
    guidanceScale: config.cfg_scale,
    selfConditioning: config.self_cond_prob > 0,
    source: Random.recorded({ initialNoise: recorded.floats("z_normal"), churn: stepwise(churn(recorded), size) }),
    ...(recorded.has("cond_seq") ? { condition: { latents: recorded.floats("cond_seq"), mask: recorded.floats("cond_seq_mask") } } : {})
  }
}

const rowsOf = (recorded: Fixture, key: string): ReadonlyArray<Int32Array> => {
  const [size, length] = recorded.shape(key) as [number, number]
  return Array.from({ length: size }, (_, row) => recorded.integers(key).slice(row * length, (row + 1) * length))
}

/** Where the two best tokens are nearer than this, rounding decides. */
const leastMargin = 1e-3

/** Ours where the reference is sure, the reference's where it is not; the two have to be equal. */
const assertTokens = (name: string, recorded: Fixture, actual: ReadonlyArray<Int32Array>): void => {
  const margins = recorded.floats("token_margin")
  let unsure = 0
  const expected = rowsOf(recorded, "tokens_raw").map((ids, row) => ids.map((id, position) => {
    if (margins[row * ids.length + position]! >= leastMargin) return id
    unsure++
    return actual[row]![position]!
  }))
  assert.isAtMost(unsure, 2, `${name}: tokens that rounding decides`)
  assert.deepStrictEqual([...actual], expected, `${name}: tokens`)
}

const conditionLengths = (recorded: Fixture): ReadonlyArray<number> => {
  const [size, length] = recorded.shape("cond_seq_mask") as [number, number]
  const mask = recorded.floats("cond_seq_mask")
  return Array.from({ length: size }, (_, row) => mask.subarray(row * length, (row + 1) * length).reduce((a, b) => a + b, 0))
}

const trimmed = (name: string, recorded: Fixture, ids: ReadonlyArray<Int32Array>): ReadonlyArray<Int32Array> => {
  const { config } = sampleCase(name)
  const options = {
    endOfSequenceId: 1,
    padId: config.pad_token === "eos" ? 1 : 0,
    ...(config.max_input_length === null
      ? {}
      : { conditionLengths: conditionLengths(recorded), maximumLength: config.max_length - config.max_input_length })
  }
  return ids.map((row, i) => trimAnswer(row, i, options))
}

const cases = casesWith("sample_")
const usesVariant = (name: string) => sampleCase(name).config.num_self_cond_cfg_tokens === 0

for (const model of ["model", "model_variant"]) {
  layer(referenceNetwork(model))(`samples of ${model}`, (it) => {
    for (const name of cases.filter((name) => usesVariant(name) === (model === "model_variant"))) {
      it.effect(name, () =>
        Effect.gen(function*() {
          const backend = yield* Backend
          const recorded = fixture(name)
          const grid = timeGrid(name, recorded)
          assertNear("sample", [0, ...grid.map(({ tNext }) => tNext)], recorded.floats("t_steps"), `${name}: times`)
          const options = optionsOf(name, recorded)
          const before = yield* backend.live
          const states = yield* Stream.fromIterable(grid).pipe(
            sample(options),
            Stream.tap(() => Effect.map(backend.live, (live) => assert.strictEqual(live, before, "live tensors"))),
            decode(options),
            Stream.runCollect
          )
          assert.deepStrictEqual(states.map(({ step }) => step), [...grid])
          let compared = 0
          states.forEach(({ prediction, z }, i) => {
            for (const [key, actual] of [[`z_after${i}`, z], [`xpred_after${i}`, prediction]] as const) {
              if (!recorded.has(key)) continue
              assertNear("sample", actual, recorded.floats(key), `${name}: ${key}`)
              compared++
            }
          })
          assert.strictEqual(compared, recorded.names.filter((key) => /_after\d+$/.test(key)).length)
          const { ids } = states.at(-1)!
          assertTokens(name, recorded, ids)
        }))
    }
  })
}

describe("answers", () => {
  for (const name of cases) {
    it(`${name}: shifted over the condition and ended at EOS`, () => {
      const recorded = fixture(name)
      assert.deepStrictEqual(trimmed(name, recorded, rowsOf(recorded, "tokens_raw")), rowsOf(recorded, "tokens_final"))
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
