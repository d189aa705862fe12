/** `sample_*`: from noise to tokens through the stages sample and decode, and from tokens to answers. */
import * as tf from "@tensorflow/tfjs-core"
import { Effect, Stream } from "effect"
import { Random, Solver, TimeGrid } from "../../../src/flow/index.ts"
import { Backend } from "../../../src/model/Backend.ts"
import { Network } from "../../../src/model/Network.ts"
import { decode, type Decoded, trimAnswer } from "../../../src/streams/decode.ts"
import { sample, type SampleOptions } from "../../../src/streams/sample.ts"
import { shiftLeft } from "../../../src/streams/trim.ts"
import { forward } from "../device.ts"
import type { Directory, Fixture, FixtureCase } from "../Directory.ts"
import { type Finding, NotRun, type RunCase } from "../Finding.ts"
import { type ModelSettings, referenceWeights, stepwise } from "../reference.ts"
import { lengthsOf, rowsOf } from "../rows.ts"

interface SamplingSettings {
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
  readonly num_model_mode_tokens: number
}

export type SamplingCase = FixtureCase<SamplingSettings, { readonly step_kinds: ReadonlyArray<"ode" | "sde"> }>

/** The first model of the directory with the case's control tokens. */
export const modelOf = ({ cases }: Directory, { config }: SamplingCase): string | undefined =>
  cases.filter(({ name }) => name === "model" || name.startsWith("model_")).find(({ config: model }) => {
    const { num_model_mode_tokens, num_self_cond_cfg_tokens } = model as ModelSettings
    return num_self_cond_cfg_tokens === config.num_self_cond_cfg_tokens && num_model_mode_tokens === config.num_model_mode_tokens
  })?.name

/** The case's times, from its recorded draws. */
export const timeGrid = (recorded: Fixture, { config }: SamplingCase): ReadonlyArray<TimeGrid.TimeStep> => {
  if (config.sampling_time_schedule === "uniform") return TimeGrid.uniform(config.num_sampling_steps)
  return TimeGrid.logitNormal({
    steps: config.num_sampling_steps,
    mean: config.denoiser_p_mean,
    standardDeviation: config.denoiser_p_std,
    source: Random.recorded({ timeGrid: recorded.has("t_steps_normal") ? recorded.floats("t_steps_normal") : new Float32Array(0) })
  })
}

/** The churn of every step that was recorded: all but the last of an SDE sampler, none of an ODE sampler. */
const churn = (recorded: Fixture): Float32Array => {
  const names = recorded.names.filter((key) => /^eps\d+$/.test(key))
  return Float32Array.from(names.flatMap((_, step) => [...recorded.floats(`eps${step}`)]))
}

const solverOf = (config: SamplingSettings): Solver.Solver =>
  config.sampling_method === "ode" ? Solver.euler : Solver.sde({ gamma: config.sde_gamma })

/** The stages' options, with the recorded draws as their source. */
export const samplingOptions = (recorded: Fixture, { config }: SamplingCase): SampleOptions & Random.Seeded => {
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

/** Every state on the way, decoded. */
export const samplingStates = (recorded: Fixture, each: SamplingCase) => {
  const options = samplingOptions(recorded, each)
  return Stream.fromIterable(timeGrid(recorded, each)).pipe(sample(options), decode(options))
}

/** Where the two best tokens are nearer than this, rounding decides. */
const leastMargin = 1e-3

/** All tokens of which the reference is sure. */
const tokenFinding = (recorded: Fixture, { ids }: Decoded): Finding => {
  const sure = Array.from(recorded.floats("token_margin"), (margin) => margin >= leastMargin)
  const certain = (tokens: ArrayLike<number>) => Array.from(tokens).filter((_, i) => sure[i])
  const skipped = sure.filter((each) => !each).length
  return {
    array: "tokens_raw",
    quantity: "exact",
    actual: certain(ids.flatMap((row) => [...row])),
    expected: certain(recorded.integers("tokens_raw")),
    ...(skipped === 0 ? {} : { note: `${skipped} of ${sure.length} positions skipped: margin below ${leastMargin}` })
  }
}

/** The reference's tokens as answers: shifted over the condition, cut, and ended at EOS. */
export const answers = (recorded: Fixture, { config }: SamplingCase) => {
  const ids = rowsOf(recorded.integers("tokens_raw"), recorded.shape("tokens_raw")[1]!)
  const padId = config.pad_token === "eos" ? 1 : 0
  if (config.max_input_length === null) return { shifted: ids, final: ids.map((row, i) => trimAnswer(row, i, { endOfSequenceId: 1, padId })) }
  const conditionLengths = lengthsOf(recorded.floats("cond_seq_mask"), recorded.shape("cond_seq_mask")[1]!)
  const maximumLength = config.max_length - config.max_input_length
  return {
    shifted: ids.map((row, i) => shiftLeft(row, conditionLengths[i]!, padId).subarray(0, maximumLength)),
    final: ids.map((row, i) => trimAnswer(row, i, { endOfSequenceId: 1, padId, conditionLengths, maximumLength }))
  }
}

const answerFindings = (recorded: Fixture, each: SamplingCase): ReadonlyArray<Finding> => {
  const { final, shifted } = answers(recorded, each)
  return ([["tokens_shifted", shifted], ["tokens_final", final]] as const).filter(([array]) => recorded.has(array)).map(([array, rows]) =>
    ({ array, quantity: "exact", actual: rows.flatMap((row) => [...row]), expected: recorded.integers(array) }))
}

/** The decoder's logits of a state, `[B, S, V]`. */
const logitsOf = (state: Decoded, options: SampleOptions) =>
  Effect.gen(function*() {
    const backend = yield* Backend
    const { elf } = yield* Network
    return yield* backend.kernel("logits", () => {
      const z = tf.tensor3d(state.z, [...state.shape])
      const ones = tf.ones([state.shape[0]]) as tf.Tensor1D
      return forward(elf, {
        z,
        t: ones,
        decoderGate: ones,
        ...(options.selfConditioning === true ? { selfCondition: tf.zerosLike(z) } : {}),
        ...(elf.config.selfConditionScaleTokens > 0 ? { selfConditionScale: tf.fill([state.shape[0]], options.selfConditionScale!) as tf.Tensor1D } : {})
      }).logits
    })
  })

/** What the best logit of each position is ahead of the second best. */
const margins = (logits: Float32Array, vocabulary: number): Float32Array =>
  Float32Array.from({ length: logits.length / vocabulary }, (_, position) => {
    const [best, second] = logits.slice(position * vocabulary, (position + 1) * vocabulary).sort((a, b) => b - a)
    return best! - second!
  })

const logitFindings = (recorded: Fixture, state: Decoded, options: SampleOptions) =>
  Effect.gen(function*() {
    const { elf: { config } } = yield* Network
    const logits = yield* logitsOf(state, options)
    const rows = recorded.names.find((name) => name.startsWith("decode_logits"))
    const margin: Finding = { array: "token_margin", quantity: "margin", actual: margins(logits, config.vocabulary), expected: recorded.floats("token_margin") }
    if (rows === undefined) return [margin]
    const expected = recorded.floats(rows)
    return [margin, { array: rows, quantity: "sample", actual: logits.subarray(0, expected.length), expected } satisfies Finding]
  })

/** Everything recorded of a sample beside what the stages gave. */
export const compareSample = (recorded: Fixture, each: SamplingCase, states: ReadonlyArray<Decoded>) =>
  Effect.gen(function*() {
    const last = states.at(-1)
    if (last === undefined) return yield* new NotRun({ why: "it has no steps" })
    const latents = (array: string, actual: ArrayLike<number>): ReadonlyArray<Finding> =>
      recorded.has(array) ? [{ array, quantity: "sample", actual, expected: recorded.floats(array) }] : []
    return [
      ...latents("t_steps", [0, ...states.map(({ step }) => step.tNext)]),
      ...states.flatMap(({ prediction, z }, i) => [...latents(`z_after${i}`, z), ...latents(`xpred_after${i}`, prediction)]),
      ...yield* logitFindings(recorded, last, samplingOptions(recorded, each)),
      tokenFinding(recorded, last),
      ...answerFindings(recorded, each)
    ]
  })

export const samplingCase: RunCase = (directory, each) =>
  Effect.gen(function*() {
    const sampling = each as SamplingCase
    const recorded = directory.fixture(each.name)
    const model = modelOf(directory, sampling)
    if (model === undefined) return yield* new NotRun({ why: "no model of the directory has its control tokens" })
    return yield* Stream.runCollect(samplingStates(recorded, sampling)).pipe(
      Effect.flatMap((states) => compareSample(recorded, sampling, states)),
      Effect.provide(Network.layer(referenceWeights(directory, model)))
    )
  })
