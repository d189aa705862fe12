/** A network, an encoder and a tokenizer small enough to take a training step in milliseconds. */
import { Effect, Layer } from "effect"
import { Random, TimeDistribution } from "../../src/flow/index.ts"
import { Encoder } from "../../src/model/Encoder.ts"
import { initialParameters, initialT5 } from "../../src/model/Initialization.ts"
import type { ModelConfig } from "../../src/model/ModelConfig.ts"
import { Network } from "../../src/model/Network.ts"
import type { OptimizerOptions } from "../../src/model/Optimizer.ts"
import type { HostTensor } from "../../src/model/Parameters.ts"
import type { T5Config } from "../../src/model/T5Encoder.ts"
import { Tokenizer } from "../../src/model/Tokenizer.ts"
import { Teacher } from "../../src/model/Teacher.ts"
import { TrainState } from "../../src/model/TrainState.ts"
import type { CorruptionOptions } from "../../src/streams/corrupt.ts"
import type { EmbeddedSequence, LabelledSequence, LatentBatch } from "../../src/streams/Sequence.ts"
import type { TrainOptions } from "../../src/streams/train.ts"

export const tiny: ModelConfig = {
  hidden: 32,
  depth: 2,
  heads: 2,
  textWidth: 16,
  bottleneck: 8,
  length: 12,
  timeTokens: 2,
  selfConditionScaleTokens: 2,
  modeTokens: 2,
  vocabulary: 61,
  feedForwardRatio: 4
}

/** The variant that reads no self-conditioning scale. */
export const tinyVariant: ModelConfig = { ...tiny, selfConditionScaleTokens: 0 }

const source = Random.keyed(20260510)

/** Initial weights with noise on all of them: a fresh network predicts 0 everywhere, which would hide mistakes. */
export const tinyTensors = (config: ModelConfig = tiny): ReadonlyArray<HostTensor> =>
  initialParameters(config, source).map((tensor) => {
    const noise = source.normal({ purpose: `noise/${tensor.name}`, index: 0 }, tensor.data.length)
    return { ...tensor, data: tensor.data.map((x, i) => x + 0.1 * noise[i]!) }
  })

export const tinyNetwork = (config: ModelConfig = tiny) => Network.layer({ config, tensors: tinyTensors(config) })

/** A teacher with the weights that {@link tinyState} starts from. */
export const tinyTeacher = (config: ModelConfig = tiny) => Teacher.layer({ config, tensors: tinyTensors(config) })

const encoderConfig: T5Config = {
  vocab_size: tiny.vocabulary,
  d_model: tiny.textWidth,
  d_kv: 8,
  d_ff: 32,
  num_layers: 2,
  num_heads: 2,
  relative_attention_num_buckets: 32,
  relative_attention_max_distance: 128,
  feed_forward_proj: "relu"
}

export const tinyEncoder = Encoder.layerT5({ config: encoderConfig, tensors: initialT5(encoderConfig, source) }, { mean: 0, standardDeviation: 0.5 })

/** The token of a character: 2 to 60, or for `☠` one that no model knows. */
const tokenOf = (character: string): number => character === "☠" ? 999 : 2 + character.codePointAt(0)! % 59

/** One token a character. Decoding shows ids as numbers, without padding and EOS. */
export const tinyTokenizer: Layer.Layer<Tokenizer> = Layer.succeed(Tokenizer, Tokenizer.of({
  encode: (text) => Effect.succeed(Int32Array.from(text, tokenOf)),
  encodeBatch: (texts) => Effect.succeed(texts.map((text) => Int32Array.from(text, tokenOf))),
  decode: (ids) => Effect.succeed(Array.from(ids).filter((id) => id > 1).join(" ")),
  vocabularySize: tiny.vocabulary,
  padId: 0,
  endOfSequenceId: 1,
  digest: "tiny"
}))

/** Row `index`: padded when it is odd, with a condition unless it is a multiple of 4, dropped when it is a multiple of 5. */
export const tinyRow = (index: number): LabelledSequence => {
  const length = index % 2 === 1 ? tiny.length - 2 : tiny.length
  const draws = source.uniform({ purpose: "ids", index }, tiny.length)
  return {
    ids: Int32Array.from(draws, (u, position) => position < length ? 2 + Math.floor(u * (tiny.vocabulary - 2)) : 0),
    length,
    conditionLength: index % 4,
    index,
    labelDropped: index % 5 === 0,
    resume: { documents: index + 1, offset: 0, index: index + 1 }
  }
}

/** {@link tinyRow} with normal latents. */
const tinyEmbedded = (index: number): EmbeddedSequence => ({
  ...tinyRow(index),
  latents: source.normal({ purpose: "latents", index }, tiny.length * tiny.textWidth)
})

/** Rows `first` to `first + size − 1` as a batch. */
export const tinyBatch = (first: number, size: number): LatentBatch => {
  const rows = Array.from({ length: size }, (_, i) => tinyEmbedded(first + i))
  const mask = (until: (row: EmbeddedSequence) => number) =>
    Float32Array.from(rows.flatMap((row) => Array.from(row.ids, (_, position) => Number(position < until(row)))))
  return {
    size,
    length: tiny.length,
    width: tiny.textWidth,
    ids: Int32Array.from(rows.flatMap(({ ids }) => [...ids])),
    latents: Float32Array.from(rows.flatMap(({ latents }) => [...latents])),
    attentionMask: mask(({ length }) => length),
    conditionMask: mask(({ conditionLength }) => conditionLength),
    labelDropped: Uint8Array.from(rows, ({ labelDropped }) => Number(labelDropped)),
    indices: rows.map(({ index }) => index),
    resume: rows.at(-1)!.resume
  }
}

/** A batch that no network of {@link tiny}'s length takes. */
export const misfitBatch = (size: number): LatentBatch => {
  const batch = tinyBatch(0, size)
  const shorter = <T extends Float32Array | Int32Array>(values: T, width: number): T => values.slice(0, size * (tiny.length - 1) * width) as T
  return {
    ...batch,
    length: tiny.length - 1,
    ids: shorter(batch.ids, 1),
    latents: shorter(batch.latents, tiny.textWidth),
    attentionMask: shorter(batch.attentionMask, 1),
    conditionMask: shorter(batch.conditionMask, 1)
  }
}

export const tinyCorruption: CorruptionOptions & { readonly seed: number } = {
  timeDistribution: TimeDistribution.logitNormal({ mean: -1.5, standardDeviation: 0.8 }),
  noiseScale: 2,
  timeEpsilon: 0.05,
  decoderProbability: 0.4,
  decoderNoiseScale: 1,
  decoderTime: TimeDistribution.logitNormal({ mean: 0.8, standardDeviation: 0.8 }),
  selfConditionProbability: 0.6,
  selfConditionScale: { minimum: 0.5, maximum: 5 },
  padding: "pad",
  seed: 11
}

/** AdamW, since a step of Muon takes twice as long. */
export const tinyTraining: TrainOptions = {
  learningRate: 0.01,
  schedule: "constant",
  warmupSteps: 0,
  minimumLearningRate: 0,
  steps: 100,
  optimizer: { kind: "adamw", weightDecay: 0, beta1: 0.9, beta2: 0.95 },
  clipNorm: 1,
  gradientAccumulation: 1,
  emaDecay: 0.9
}

/** A fresh training state wherever it is provided. */
export const tinyState = (config: ModelConfig = tiny, optimizer: OptimizerOptions = tinyTraining.optimizer) =>
  Layer.fresh(TrainState.layer({ config, optimizer, from: tinyTensors(config) }))
