/**
 * The run file's schema: one place for names, types, defaults, ranges and what each key means.
 *
 * Defaults are those of the published OpenWebText runs.
 *
 * @source ELF `src/configs/training_configs/train_owt_ELF-B.yml`, `src/configs/config.py`; branch `distillation`,
 * `src/configs/training_configs/distill_curriculum_ELF-B.yml`
 * @since 0.1.0
 */
import { Effect, Schema } from "effect"
import { solverNames } from "../flow/Samplers.ts"
import { presetNames } from "./runPresets.ts"

const Count = Schema.Int.check(Schema.isGreaterThanOrEqualTo(0))
const AtLeastOne = Schema.Int.check(Schema.isGreaterThanOrEqualTo(1))
const Positive = Schema.Finite.check(Schema.isGreaterThan(0))
const NotNegative = Schema.Finite.check(Schema.isGreaterThanOrEqualTo(0))
const Share = Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 1 }))
const Decay = Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 1, exclusiveMaximum: true }))
const Text = Schema.NonEmptyString

/** A key with a default. */
const key = <S extends Schema.Top>(schema: S, value: S["Encoded"], description: string) =>
  (schema.annotate({ description, default: value as never }) as S)
    .pipe(Schema.withDecodingDefaultKey(Effect.succeed(value)))

/** A key that must be given. */
const required = <S extends Schema.Top>(schema: S, description: string) => schema.annotate({ description }) as S

/** A key that may be left out. */
const optional = <S extends Schema.Top>(schema: S, description: string) =>
  Schema.optionalKey(schema.annotate({ description }) as S)

/** A section whose keys all have defaults. */
const section = <S extends Schema.Top>(schema: S, value: S["Encoded"], description: string) =>
  (schema.annotate({ description }) as S).pipe(Schema.withDecodingDefaultKey(Effect.succeed(value)))

const Model = Schema.Struct({
  preset: optional(Schema.Literals(["ELF-B", "ELF-M", "ELF-L"]), "A published size; fills in hidden, depth and heads."),
  hidden: required(AtLeastOne, "Width of the network; a multiple of 2 × heads."),
  depth: required(AtLeastOne, "Number of transformer blocks."),
  heads: required(AtLeastOne, "Attention heads of each block."),
  textWidth: key(AtLeastOne, 512, "Width of the encoder's latents (512 for T5-small)."),
  bottleneck: key(AtLeastOne, 128, "Width of the bottleneck that latents enter the network through."),
  length: key(AtLeastOne, 1024, "Tokens of every row; text positions of the network."),
  timeTokens: key(Count, 4, "Prefix tokens that carry the time t."),
  selfConditionScaleTokens: key(Count, 4, "Prefix tokens that carry the self-conditioning scale; 0 leaves them out."),
  modeTokens: key(Count, 4, "Prefix tokens that switch between denoiser and decoder."),
  vocabulary: key(AtLeastOne, 32100, "Tokens that the decoder chooses from."),
  feedForwardRatio: key(Positive, 4, "Inner width of the feed-forward layers: this × hidden × 2/3.")
})

const Encoder = Schema.Struct({
  kind: key(
    Schema.Literals(["t5", "onnx"]),
    "t5",
    "A T5 encoder (v1.0 or v1.1) on the tensor engine, or any encoder as an ONNX file through @huggingface/transformers."
  ),
  path: optional(Text, "Folder of the frozen text encoder, relative to the run file."),
  name: optional(
    Text,
    "Instead of a path: sotu, which ships; t5-small (also where neither is given), t5-base, t5-large, t5-3b, t5-11b, or owner/name of a hub."
  ),
  revision: optional(Text, "Branch, tag or commit of the hub's repository; main when absent."),
  file: optional(Text, "The ONNX file in the encoder's folder (onnx only); onnx/model.onnx when absent."),
  latentMean: key(Schema.Finite, 0, "Subtracted from the encoder's output."),
  latentStandardDeviation: key(Positive, 0.2, "The encoder's output is divided by this.")
})

const Condition = Schema.Struct({
  probability: key(Share, 0, "Share of the rows whose beginning becomes their condition."),
  minimum: key(AtLeastOne, 1, "Shortest condition, in tokens."),
  maximum: key(AtLeastOne, 64, "Longest condition, in tokens; less than model.length.")
})

const Pattern = Schema.Union([Text, Schema.NonEmptyArray(Text)])

const Data = Schema.Struct({
  train: required(Pattern, "Parquet files to train on: a path, folder or pattern, or a list; relative to the run file."),
  heldOut: optional(Pattern, "Parquet files for the held-out loss."),
  column: key(Text, "text", "Text column."),
  conditionColumn: optional(Text, "Text column of the condition; rows are then pairs, and column is what follows."),
  padding: key(
    Schema.Literals(["pad", "eos"]),
    "pad",
    "What fills short rows: \"pad\" leaves it out of the loss, \"eos\" trains the end of the text too."
  ),
  condition: section(Condition, {}, "Conditions cut from the beginning of rows."),
  labelDropProbability: key(Share, 0, "Share of the rows whose condition is hidden; needed for guidance."),
  shuffleWindow: key(AtLeastOne, 1024, "Documents shuffled among each other; 1 keeps the order of the files."),
  epochs: optional(Positive, "Passes over the data; without end when absent."),
  batchSize: key(AtLeastOne, 512, "Rows of one forward pass."),
  prefetch: key(Count, 0, "Batches whose rows are read and tokenised ahead; changes no result.")
})

const LogitNormal = Schema.Struct({
  kind: required(Schema.Literal("logitNormal"), "The logit of t is normally distributed."),
  mean: key(Schema.Finite, -1.5, "Mean of the logit of t."),
  standardDeviation: key(Positive, 0.8, "Standard deviation of the logit of t.")
})
const Uniform = Schema.Struct({ kind: required(Schema.Literal("uniform"), "t is uniform in [0, 1).") })

const Flow = Schema.Struct({
  timeDistribution: key(Schema.Union([LogitNormal, Uniform]), { kind: "logitNormal" }, "How t is drawn in training."),
  noiseScale: key(Positive, 2, "Standard deviation of the noise of denoiser rows."),
  timeEpsilon: key(
    Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 1, exclusiveMinimum: true })),
    0.05,
    "Least 1 − t that a velocity is divided by."
  ),
  decoderProbability: key(Share, 0.2, "Share of the rows that train the decoder."),
  decoderNoiseScale: key(NotNegative, 5, "Standard deviation of the noise of decoder rows."),
  decoderTime: section(
    Schema.Struct({
      mean: key(Schema.Finite, 0.8, "Mean of the logit of each token's share of clean latent."),
      standardDeviation: key(NotNegative, 0.8, "Its standard deviation.")
    }),
    {},
    "How clean the tokens of decoder rows are."
  ),
  selfConditionProbability: key(Share, 0.5, "Share of the denoiser rows that see their own first prediction."),
  selfConditionScale: section(
    Schema.Struct({
      minimum: key(NotNegative, 0.5, "Least self-conditioning scale in training."),
      maximum: key(NotNegative, 5, "Greatest self-conditioning scale in training.")
    }),
    {},
    "Range of the self-conditioning scale."
  )
})

const Optimizer = Schema.Struct({
  kind: key(Schema.Literals(["muon", "adamw"]), "muon", "Muon for matrices with Adam for the rest, or AdamW for all."),
  steps: optional(AtLeastOne, "Optimiser steps of the whole run; as many as data.epochs makes when absent."),
  learningRate: key(Positive, 0.002, "Learning rate after the warm-up."),
  baseLearningRate: optional(
    Positive,
    "Makes learningRate, where that is not given: this × rows of an update (data.batchSize × gradientAccumulation) / 256."
  ),
  schedule: key(Schema.Literals(["constant", "cosine"]), "constant", "What the learning rate does after the warm-up."),
  warmupSteps: key(Count, 0, "Steps of linear warm-up; at most steps."),
  warmupEpochs: optional(NotNegative, "The warm-up in epochs, where warmupSteps is 0."),
  minimumLearningRate: key(NotNegative, 0, "Where the cosine schedule ends; at most learningRate."),
  weightDecay: key(NotNegative, 0, "Decoupled weight decay (AdamW only)."),
  beta1: key(Decay, 0.9, "Decay of the first moment (AdamW only)."),
  beta2: key(Decay, 0.95, "Decay of the second moment (AdamW only)."),
  gradientAccumulation: key(AtLeastOne, 1, "Batches whose gradients are averaged for one step."),
  clipNorm: key(Positive, 1, "Greatest norm of the gradient."),
  onDivergence: key(
    Schema.Literals(["stop", "skip", "rollback"]),
    "stop",
    "A batch whose loss or gradient is not finite ends the run, is passed over, or takes the run back to its last checkpoint, to go on behind it."
  ),
  emaDecay: key(Decay, 0.9999, "Decay of the moving average of the parameters.")
})

const CheckpointSection = Schema.Struct({
  directory: key(Text, "checkpoints", "Folder of the run's checkpoints, relative to the run file."),
  every: key(AtLeastOne, 1000, "Steps between checkpoints; one is written at the end in any case."),
  keep: key(AtLeastOne, 3, "Last checkpoints that are kept."),
  keepEvery: optional(AtLeastOne, "Also keeps checkpoints whose step is a multiple of this."),
  keepBest: key(Count, 0, "Also keeps so many of those with the least held-out loss, which is then measured at each; needs data.heldOut.")
})

const Log = Schema.Struct({
  every: key(AtLeastOne, 100, "Steps between progress lines."),
  heldOutEvery: key(AtLeastOne, 1000, "Steps between held-out losses."),
  file: optional(Text, "File of metrics, one JSON object a line, relative to the run file."),
  tensorboard: optional(Text, "Folder for TensorBoard's event files, relative to the run file.")
})

const Sample = Schema.Struct({
  count: key(AtLeastOne, 8, "Texts to write."),
  steps: key(AtLeastOne, 32, "Steps from noise to text."),
  solver: key(Schema.Literals(solverNames), "sde", "How a step is taken: see samplers.md."),
  gamma: key(NotNegative, 1.5, "Strength of the reference's churn (sde only)."),
  churn: key(NotNegative, 0, "Strength of Karras churn, around any solver but sde; 0 is none."),
  guidanceScale: key(NotNegative, 1, "Classifier-free guidance; 1 is none."),
  selfConditionScale: key(NotNegative, 3, "Self-conditioning guidance."),
  timeGrid: key(Schema.Literals(["logitNormal", "uniform"]), "logitNormal", "Where the steps lie."),
  stopWhenStable: optional(AtLeastOne, "Take no more steps with a text whose tokens have stayed the same so many times in a row."),
  length: optional(AtLeastOne, "Tokens of each text, exactly; without it a text ends where the network writes its end. Answers to prompts have no such length.")
})

const Round = Schema.Struct({
  studentSteps: required(AtLeastOne, "Steps from noise to text that the student learns to do with."),
  teacherSteps: required(AtLeastOne, "Steps of the teacher that one step of the student stands for.")
})

/** A teacher of 64 steps all along. */
const publishedRounds: readonly [typeof Round.Type, ...Array<typeof Round.Type>] = [
  { studentSteps: 16, teacherSteps: 4 },
  { studentSteps: 8, teacherSteps: 8 },
  { studentSteps: 4, teacherSteps: 16 },
  { studentSteps: 2, teacherSteps: 32 },
  { studentSteps: 1, teacherSteps: 64 }
]

const Distillation = Schema.Struct({
  teacher: required(Text, "Checkpoint of the teacher, or folder of its run (the latest is taken); relative to the run file."),
  rounds: key(Schema.NonEmptyArray(Round), publishedRounds, "The curriculum: each round goes on from the student of the one before; the teacher stays."),
  stepsPerRound: optional(AtLeastOne, "Optimiser steps of a round, instead of optimizer.steps; as many as epochsPerRound makes when absent."),
  epochsPerRound: optional(Positive, "Passes over the data of a round, instead of data.epochs."),
  warmupSteps: key(Count, 0, "Steps of linear warm-up of each round; at most stepsPerRound."),
  warmupEpochs: optional(NotNegative, "The warm-up of each round in epochs, where warmupSteps is 0."),
  decoderProbability: key(Share, 0.2, "Share of the rows that train the decoder."),
  studentTimes: key(Schema.Literals(["logitNormal", "uniform"]), "logitNormal", "How the time is drawn at which a student's step begins."),
  teacherTimes: key(
    Schema.Literals(["logitNormal", "uniform", "equal"]),
    "logitNormal",
    "Where the teacher's steps lie within the student's: drawn for each row, or equally long."
  ),
  directory: key(Text, "distilled", "Folder of the rounds, each a folder of checkpoints; relative to the run file.")
})

/** The schema itself, before checks across keys. */
export const RunConfigSchema = Schema.Struct({
  extends: optional(Schema.Literals(presetNames), "A published run, which this file is put over key by key."),
  seed: key(Schema.Int, 42, "Every random draw of the run is a function of it."),
  model: required(Model, "The network."),
  encoder: section(Encoder, {}, "The frozen text encoder."),
  data: required(Data, "What to train on."),
  flow: section(Flow, {}, "The flow-matching objective."),
  optimizer: required(Optimizer, "How the parameters are updated."),
  checkpoint: section(CheckpointSection, {}, "What is saved, where and when."),
  log: section(Log, {}, "What is reported."),
  sample: section(Sample, {}, "How texts are written."),
  distillation: optional(Distillation, "Progressive distillation into a network of few steps, for `elf distill`.")
}).annotate({ identifier: "RunConfig" })

/** A checked run configuration with every default filled in. */
export type RunConfig = typeof RunConfigSchema.Type
