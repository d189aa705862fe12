/** The reference's models, settings and recorded draws in this library's terms. */
import { Random, TimeDistribution } from "../../src/flow/index.ts"
import type { Recording } from "../../src/flow/Random.ts"
import { Encoder, type T5Weights } from "../../src/model/Encoder.ts"
import type { ModelConfig } from "../../src/model/ModelConfig.ts"
import type { ElfWeights } from "../../src/model/Network.ts"
import type { CorruptionOptions } from "../../src/streams/corrupt.ts"
import type { Directory, Fixture } from "./Directory.ts"

export interface ModelSettings {
  readonly hidden_size: number
  readonly depth: number
  readonly num_heads: number
  readonly text_encoder_dim: number
  readonly bottleneck_dim: number
  readonly max_length: number
  readonly num_time_tokens: number
  readonly num_self_cond_cfg_tokens: number
  readonly num_model_mode_tokens: number
  readonly vocab_size: number
}

interface EncoderSettings {
  readonly vocab: number
  readonly d_model: number
  readonly d_kv: number
  readonly d_ff: number
  readonly num_layers: number
  readonly num_heads: number
  readonly relu: boolean
  readonly buckets: number
  readonly max_distance: number
}

/** The part of a training case's settings that the stages before the optimiser read. */
export interface CorruptionSettings {
  readonly latent_mean: number
  readonly latent_std: number
  readonly denoiser_p_mean: number
  readonly denoiser_p_std: number
  readonly denoiser_noise_scale: number
  readonly t_eps: number
  readonly decoder_prob: number
  readonly decoder_noise_scale: number
  readonly decoder_p_mean: number
  readonly decoder_p_std: number
  readonly label_drop_prob: number
  readonly self_cond_prob: number
  readonly self_cond_cfg_min: number
  readonly self_cond_cfg_max: number
  readonly pad_token: "pad" | "eos"
}

/** A network's sizes. The ratio is the reference's default, which its configurations do not change. */
export const modelConfig = (settings: ModelSettings): ModelConfig => ({
  hidden: settings.hidden_size,
  depth: settings.depth,
  heads: settings.num_heads,
  textWidth: settings.text_encoder_dim,
  bottleneck: settings.bottleneck_dim,
  length: settings.max_length,
  timeTokens: settings.num_time_tokens,
  selfConditionScaleTokens: settings.num_self_cond_cfg_tokens,
  modeTokens: settings.num_model_mode_tokens,
  vocabulary: settings.vocab_size,
  feedForwardRatio: 4
})

/** The model of case `name`: its sizes and its weights; those of several models have a `prefix` each. */
export const referenceWeights = (directory: Directory, name: string, prefix = ""): ElfWeights => ({
  config: modelConfig(directory.fixtureCase<ModelSettings>(name).config),
  tensors: directory.fixture(name).group(prefix)
})

/** The T5 encoder of the training cases. */
export const referenceT5 = (directory: Directory): T5Weights => {
  const settings = directory.fixtureCase<EncoderSettings>("t5_weights").config
  return {
    config: {
      vocab_size: settings.vocab,
      d_model: settings.d_model,
      d_kv: settings.d_kv,
      d_ff: settings.d_ff,
      num_layers: settings.num_layers,
      num_heads: settings.num_heads,
      relative_attention_num_buckets: settings.buckets,
      relative_attention_max_distance: settings.max_distance,
      feed_forward_proj: settings.relu ? "relu" : "gated-gelu"
    },
    tensors: directory.fixture("t5_weights").group("")
  }
}

/** The encoder as `train_*` and `traj_*` use it. */
export const referenceEncoder = (directory: Directory, settings: CorruptionSettings) =>
  Encoder.layerT5(referenceT5(directory), { mean: settings.latent_mean, standardDeviation: settings.latent_std })

const law = (mean: number, standardDeviation: number): TimeDistribution.TimeDistribution =>
  TimeDistribution.logitNormal({ mean, standardDeviation })

/** A case's noise process. */
export const corruptionOptions = (settings: CorruptionSettings): CorruptionOptions => ({
  timeDistribution: law(settings.denoiser_p_mean, settings.denoiser_p_std),
  noiseScale: settings.denoiser_noise_scale,
  timeEpsilon: settings.t_eps,
  decoderProbability: settings.decoder_prob,
  decoderNoiseScale: settings.decoder_noise_scale,
  decoderTime: law(settings.decoder_p_mean, settings.decoder_p_std),
  selfConditionProbability: settings.self_cond_prob,
  selfConditionScale: { minimum: settings.self_cond_cfg_min, maximum: settings.self_cond_cfg_max },
  padding: settings.pad_token
})

/** The reference records what its coin showed, not what it drew: 0 is below every probability, 1 is not. */
const coin = (outcome: Float32Array): Float32Array => outcome.map((active) => 1 - active)

const purposes: ReadonlyArray<readonly [purpose: string, recorded: string]> = [
  ["dropLabels", "label_drop_uniform"],
  ["time", "t_normal"],
  ["denoiserNoise", "denoiser_noise"],
  ["decoderActive", "decoder_active"],
  ["decoderTime", "decoder_lambda_normal"],
  ["decoderNoise", "decoder_noise_normal"],
  ["selfCondition", "self_cond_uniform"],
  ["selfConditionScale", "sc_cfg_uniform"],
  // Names of distillation steps.
  ["time", "t_s_draw"],
  ["denoiserNoise", "z_noise_normal"],
  ["selfCondition", "self_cond_coin"],
  ["teacherTimes", "teacher_times_draw"]
]

const coins: ReadonlyArray<string> = ["decoder_active", "self_cond_coin"]

/** The draws of one training step; a purpose without a record cannot be drawn. */
export const recordedStep = (recordings: Fixture, prefix = ""): Random.RandomSource =>
  Random.recorded(Object.fromEntries(
    purposes.filter(([, name]) => recordings.has(prefix + name)).map(([purpose, name]) => {
      const values = recordings.floats(prefix + name)
      return [purpose, coins.includes(name) ? coin(values) : values]
    })
  ))

/** `offset` in a record of one array a step. */
export const stepwise = (values: Float32Array, rows: number): Recording => ({ values, offset: Random.stepMajor(rows) })
