/**
 * Clean latents → noisy latents, branch by branch: what one training step reads.
 */
import { Stream } from "effect"
import { requireArgument } from "../flow/errors.ts"
import { type ScaleRange, scaleFromUniform } from "../flow/Guidance.ts"
import { interpolate, velocityFromPrediction } from "../flow/Path.ts"
import { type RandomSource, type Seeded, sourceOf } from "../flow/Random.ts"
import { sample, type TimeDistribution } from "../flow/TimeDistribution.ts"
import type { LatentBatch } from "./Sequence.ts"
import type { Stage } from "./Stage.ts"

/** The noise process. @source `configs/config.py`, "Denoiser objective", "Decoder objective" */
export interface CorruptionOptions {
  /** The law of t on denoiser rows. */
  readonly timeDistribution: TimeDistribution
  /** Standard deviation of the denoiser's noise. */
  readonly noiseScale: number
  /** Below this, 1 − t no longer shrinks. In (0, 1]. */
  readonly timeEpsilon: number
  /** Share of rows that train the decoder. In [0, 1]. */
  readonly decoderProbability: number
  readonly decoderNoiseScale: number
  /** The law of λ, the share of data at each token of a decoder row. */
  readonly decoderTime: TimeDistribution
  /** Share of denoiser rows that see a first prediction. In [0, 1]; 0 trains without self-conditioning. */
  readonly selfConditionProbability: number
  /** The range of w; absent for the variant without its tokens. */
  readonly selfConditionScale?: ScaleRange | undefined
  /** Whether the loss counts padding: "eos" trains it, "pad" does not. */
  readonly padding: "pad" | "eos"
}

/** A batch with its noise. Rows are decoder or denoiser rows; host arrays. */
export interface NoisyBatch extends LatentBatch {
  /** Clean latents, zero at the condition of rows whose label is dropped. `[B, S, D]` */
  readonly clean: Float32Array
  /** The branch's noisy latents. `[B, S, D]` */
  readonly z: Float32Array
  /** 1 on decoder rows. `[B]` */
  readonly t: Float32Array
  /** 1 = decoder row. `[B]` */
  readonly decoderActive: Uint8Array
  /** 1 = denoiser row that gets a first prediction. `[B]` */
  readonly usesSelfCondition: Uint8Array
  /** w `[B]` */
  readonly selfConditionScale?: Float32Array
  /** 1 where the loss counts. `[B, S]` */
  readonly lossMask: Float32Array
  readonly timeEpsilon: number
  /** Whether the network is given a self-conditioning half at all. */
  readonly selfConditioning: boolean
}

/** A noisy batch with the flow's own target. */
export interface CorruptedBatch extends NoisyBatch {
  /** (clean − z) / max(1 − t, timeEpsilon) on denoiser rows, 0 on the others. `[B, S, D]` */
  readonly velocityTarget: Float32Array
}

const isCondition = (batch: LatentBatch, row: number, position: number): boolean =>
  batch.conditionMask[row * batch.length + position]! > 0

const eachPosition = (batch: LatentBatch, visit: (row: number, position: number, offset: number) => void): void => {
  for (let row = 0; row < batch.size; row++) {
    for (let position = 0; position < batch.length; position++) visit(row, position, (row * batch.length + position) * batch.width)
  }
}

/** @source `train_step.py`, the zeroing of dropped conditions */
const withoutDroppedConditions = (batch: LatentBatch): Float32Array => {
  if (batch.labelDropped.every((dropped) => dropped === 0)) return batch.latents
  const clean = batch.latents.slice()
  eachPosition(batch, (row, position, offset) => {
    if (batch.labelDropped[row]! > 0 && isCondition(batch, row, position)) clean.fill(0, offset, offset + batch.width)
  })
  return clean
}

/** One number a row: a draw of length 1 for each row's index. */
const perRow = (indices: ReadonlyArray<number>, draw: (index: number) => number): Float32Array => Float32Array.from(indices, draw)

/** @source `train_step.py`, `loss_mask` */
const lossMask = ({ attentionMask, conditionMask }: LatentBatch, padding: "pad" | "eos"): Float32Array =>
  conditionMask.map((condition, i) => (padding === "pad" ? attentionMask[i]! : 1) * (1 - condition))

/** One row of a batch as it is corrupted: clean latents and where the corrupted ones go, `[S, D]` each; `noise` is room for draws. */
interface Row {
  readonly index: number
  readonly clean: Float32Array
  readonly z: Float32Array
  readonly noise: Float32Array
}

const noiseOf = (purpose: string, { index, noise }: Row, source: RandomSource): Float32Array => source.normal({ purpose, index }, noise.length, noise)

/** z = t·clean + (1 − t)·noise on one row. @source `sampling_utils.py`, `add_noise` */
const corruptDenoiserRow = (row: Row, source: RandomSource, t: number, { noiseScale }: CorruptionOptions): void =>
  void interpolate(row.clean, noiseOf("denoiserNoise", row, source), t, noiseScale, row.z)

/** Each token has its own λ, and condition positions are noised too. @source `train_step.py`, `decoder_z` */
const corruptDecoderRow = (row: Row, source: RandomSource, length: number, { decoderNoiseScale, decoderTime }: CorruptionOptions): void => {
  const lambda = sample(decoderTime, source, { purpose: "decoderTime", index: row.index }, length)
  interpolate(row.clean, noiseOf("decoderNoise", row, source), lambda, decoderNoiseScale, row.z)
}

const restoreRow = (batch: LatentBatch, row: number, z: Float32Array, clean: Float32Array): void => {
  for (let position = 0; position < batch.length; position++) {
    const offset = position * batch.width
    if (isCondition(batch, row, position)) z.set(clean.subarray(offset, offset + batch.width), offset)
  }
}

const branches = (batch: LatentBatch, source: RandomSource, options: CorruptionOptions) => {
  const { indices } = batch
  const uniform = (purpose: string, index: number) => source.uniform({ purpose, index }, 1)[0]!
  const decoderActive = Uint8Array.from(indices, (index) => Number(uniform("decoderActive", index) < options.decoderProbability))
  return {
    decoderActive,
    usesSelfCondition: Uint8Array.from(indices, (index, row) =>
      Number(decoderActive[row] === 0 && options.selfConditionProbability > 0 && uniform("selfCondition", index) < options.selfConditionProbability)),
    t: perRow(indices, (index) => sample(options.timeDistribution, source, { purpose: "time", index }, 1)[0]!)
      .map((t, row) => (decoderActive[row] === 1 ? 1 : t)),
    ...(options.selfConditionScale === undefined
      ? {}
      : { selfConditionScale: perRow(indices, (index) => uniform("selfConditionScale", index)).map(scaleFromUniform(options.selfConditionScale)) })
  }
}

const corruptBatch = (batch: LatentBatch, source: RandomSource, options: CorruptionOptions): CorruptedBatch => {
  const clean = withoutDroppedConditions(batch)
  const drawn = branches(batch, source, options)
  const z = new Float32Array(clean.length)
  const velocityTarget = new Float32Array(clean.length)
  const rowSize = batch.length * batch.width
  const noise = new Float32Array(rowSize)
  batch.indices.forEach((index, at) => {
    const part = (data: Float32Array) => data.subarray(at * rowSize, (at + 1) * rowSize)
    const row = { index, clean: part(clean), z: part(z), noise }
    if (drawn.decoderActive[at] === 1) return corruptDecoderRow(row, source, batch.length, options)
    const t = drawn.t[at]!
    corruptDenoiserRow(row, source, t, options)
    restoreRow(batch, at, row.z, row.clean)
    velocityFromPrediction(row.clean, row.z, t, options.timeEpsilon, part(velocityTarget))
  })
  return {
    ...batch,
    ...drawn,
    clean,
    z,
    velocityTarget,
    lossMask: lossMask(batch, options.padding),
    timeEpsilon: options.timeEpsilon,
    selfConditioning: options.selfConditionProbability > 0
  }
}

/**
 * Chooses each row's branch and adds its noise. Every draw is keyed by the row's index, so batch size, prefetch depth and
 * resuming change nothing.
 * @source `train_step.py`, `train_step`
 */
export const corrupt = (options: CorruptionOptions & Seeded): Stage<LatentBatch, CorruptedBatch> => {
  const { decoderProbability, timeEpsilon } = options
  requireArgument(timeEpsilon > 0 && timeEpsilon <= 1, "corrupt.timeEpsilon", "in (0, 1]", timeEpsilon)
  requireArgument(decoderProbability >= 0 && decoderProbability <= 1, "corrupt.decoderProbability", "in [0, 1]", decoderProbability)
  const source = sourceOf(options)
  return Stream.map((batch: LatentBatch) => corruptBatch(batch, source, options))
}
