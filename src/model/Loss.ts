/**
 * The training loss and its gradients: squared error on denoiser rows, cross-entropy on decoder rows, one denominator.
 *
 * In training the error is that of the velocity and the loss a mean over all counted tokens. In distillation the error is
 * that of the prediction, and the loss a mean over rows of the means of their counted tokens.
 */
import * as tf from "@tensorflow/tfjs-core"
import { crossEntropy } from "./CrossEntropy.ts"
import { decoderHead, type Elf, predictionHead, trunk } from "./Elf.ts"
import { valueAndGradients } from "./Gradients.ts"
import { parameter, type Parameters } from "./Parameters.ts"
import { velocityLoss, weightedSquares } from "./Velocity.ts"

/** Host arrays that both kinds of training step read. B rows of S positions with D channels. */
interface Rows {
  readonly size: number
  readonly length: number
  readonly width: number
  /** The decoder's z on decoder rows, the denoiser's on the others. `[B, S, D]` */
  readonly z: Float32Array
  /** `[B, S, D]`; absent where the run does not self-condition. */
  readonly selfCondition?: Float32Array
  /** 1 on decoder rows. `[B]` */
  readonly t: Float32Array
  /** w `[B]`; absent for the variant without its tokens. */
  readonly selfConditionScale?: Float32Array
  /** 1 = decoder row. `[B]` */
  readonly decoderActive: Uint8Array
  /** 1 where the loss counts. `[B, S]` */
  readonly lossMask: Float32Array
  /** Token ids, the decoder's targets. `[B, S]` */
  readonly ids: Int32Array
}

/** Rows of the flow's own training step. */
export interface VelocityRows extends Rows {
  /** Guidance included; read on denoiser rows. `[B, S, D]` */
  readonly velocityTarget: Float32Array
}

/** Rows of a step that learns from a teacher. */
export interface PredictionRows extends Rows {
  /** The teacher's; read on denoiser rows. `[B, S, D]` */
  readonly predictionTarget: Float32Array
}

/** Host arrays of one training step. */
export type TrainingRows = VelocityRows | PredictionRows

/** Losses of a step. */
export type Losses = {
  /** What the gradient is of: (Σ CE + Σ L2) / Σ loss mask, in distillation (Σ row means of CE and L2) / B. */
  readonly loss: number
  /** Mean squared error of denoiser rows, over the same denominator; NaN-free: 0 without such rows. */
  readonly denoiserLoss: number
  /** Mean cross-entropy in nats of decoder rows, likewise; 0 without such rows. */
  readonly decoderLoss: number
}

/** Losses and ∂loss/∂parameter for every parameter. The gradients belong to the caller. */
export interface LossAndGradients extends Losses {
  readonly gradients: Parameters
}

const rowsWhere = (flags: Uint8Array, value: 0 | 1): ReadonlyArray<number> =>
  Array.from(flags.keys()).filter((row) => flags[row] === value)

const sum = (values: Iterable<number>): number => {
  let total = 0
  for (const value of values) total += value
  return total
}

/** The rows of a `[B, n]` host array as a device tensor of shape `[rows.length, ...shape]`. */
const select = (data: Float32Array | Int32Array, rows: ReadonlyArray<number>, shape: ReadonlyArray<number>): tf.Tensor => {
  const width = shape.reduce((a, b) => a * b, 1)
  const kind = data instanceof Int32Array ? Int32Array : Float32Array
  const out = new kind(rows.length * width)
  rows.forEach((row, i) => out.set(data.subarray(row * width, (row + 1) * width), i * width))
  return tf.tensor(out, [rows.length, ...shape], data instanceof Int32Array ? "int32" : "float32")
}

const gatherRows = (hidden: tf.Tensor3D, rows: ReadonlyArray<number>): tf.Tensor3D =>
  rows.length === hidden.shape[0] ? hidden : tf.gather(hidden, tf.tensor1d([...rows], "int32"), 0)

const countedTokens = (batch: TrainingRows, row: number): number => sum(batch.lossMask.subarray(row * batch.length, (row + 1) * batch.length))

/** What each token counts in the sums of its branch `[B, S]`. @source `distill_train_step.py`, `pd_per_example` */
const tokenWeights = (batch: TrainingRows): Float32Array => {
  if ("velocityTarget" in batch) return batch.lossMask
  const counts = Float32Array.from({ length: batch.size }, (_, row) => Math.max(1, countedTokens(batch, row)))
  return batch.lossMask.map((counted, i) => counted / counts[Math.floor(i / batch.length)]!)
}

/** What the sums of the given rows are divided by to be their mean, or 0 without such rows. */
const weightOf = (batch: TrainingRows, rows: ReadonlyArray<number>): number =>
  "velocityTarget" in batch ? sum(rows.map((row) => countedTokens(batch, row))) : rows.length

/** Σ over tokens of the weighted mean squared error of velocities or predictions. @source `distill_train_step.py`, `per_dim` */
const denoiserSum = (elf: Elf, hidden: tf.Tensor3D, batch: TrainingRows, rows: ReadonlyArray<number>, tokenWeights: Float32Array, timeEpsilon: number): tf.Scalar => {
  const prediction = predictionHead(elf, gatherRows(hidden, rows))
  const latents = (data: Float32Array) => select(data, rows, [batch.length, batch.width]) as tf.Tensor3D
  const weights = select(tokenWeights, rows, [batch.length]) as tf.Tensor2D
  if ("velocityTarget" in batch) {
    const t = select(batch.t, rows, []) as tf.Tensor1D
    return velocityLoss(prediction, { z: latents(batch.z), t, target: latents(batch.velocityTarget), weights }, timeEpsilon)
  }
  return weightedSquares(prediction, latents(batch.predictionTarget), weights)
}

/** Σ over tokens of the weighted cross-entropy. @source `train_step.py`, `ce_per_token` */
const decoderSum = (elf: Elf, hidden: tf.Tensor3D, batch: TrainingRows, rows: ReadonlyArray<number>, weights: Float32Array): tf.Scalar => {
  const flat = (data: Float32Array | Int32Array) => tf.reshape(select(data, rows, [batch.length]), [-1]) as tf.Tensor1D
  const unembedding = {
    kernel: parameter<tf.Tensor2D>(elf.parameters, "unembed_kernel"),
    bias: parameter<tf.Tensor1D>(elf.parameters, "unembed_bias")
  }
  return crossEntropy(decoderHead(elf, gatherRows(hidden, rows)), unembedding, flat(batch.ids), flat(weights))
}

const hidden = (elf: Elf, batch: TrainingRows): tf.Tensor3D => {
  const shape: [number, number, number] = [batch.size, batch.length, batch.width]
  const { selfCondition, selfConditionScale } = batch
  return trunk(elf, {
    z: tf.tensor3d(batch.z, shape),
    t: tf.tensor1d(batch.t),
    decoderGate: tf.tensor1d(Float32Array.from(batch.decoderActive)),
    ...(selfCondition === undefined ? {} : { selfCondition: tf.tensor3d(selfCondition, shape) }),
    ...(selfConditionScale === undefined ? {} : { selfConditionScale: tf.tensor1d(selfConditionScale) })
  })
}

interface BranchSums {
  readonly denoiser: tf.Scalar
  readonly decoder: tf.Scalar
}

/**
 * Both sums divided by `divisor`: token by token, since dividing them afterwards would scale the gradient of a vocabulary.
 */
const branchSums = (elf: Elf, batch: TrainingRows, timeEpsilon: number, divisor: number): BranchSums => {
  const weights = tokenWeights(batch).map((weight) => weight / divisor)
  const denoiserRows = rowsWhere(batch.decoderActive, 0)
  const decoderRows = rowsWhere(batch.decoderActive, 1)
  const stream = hidden(elf, batch)
  return {
    denoiser: denoiserRows.length > 0 ? denoiserSum(elf, stream, batch, denoiserRows, weights, timeEpsilon) : tf.scalar(0),
    decoder: decoderRows.length > 0 ? decoderSum(elf, stream, batch, decoderRows, weights) : tf.scalar(0)
  }
}

/** What a batch, or a part of it, adds to its losses: the sums of both branches, and what they are divided by. */
export type LossSums = {
  readonly denoiser: number
  readonly decoder: number
  readonly denoiserWeight: number
  readonly decoderWeight: number
}

/** What the gradient of a batch's sums is divided by. */
export const denominator = ({ decoderWeight, denoiserWeight }: Pick<LossSums, "decoderWeight" | "denoiserWeight">): number =>
  Math.max(1, denoiserWeight + decoderWeight)

/** The losses of the batch that has these sums. */
export const lossesOf = (sums: LossSums): Losses => ({
  loss: (sums.denoiser + sums.decoder) / denominator(sums),
  denoiserLoss: sums.denoiser / Math.max(1, sums.denoiserWeight),
  decoderLoss: sums.decoder / Math.max(1, sums.decoderWeight)
})

const weightsOf = (batch: TrainingRows): Pick<LossSums, "decoderWeight" | "denoiserWeight"> => ({
  denoiserWeight: weightOf(batch, rowsWhere(batch.decoderActive, 0)),
  decoderWeight: weightOf(batch, rowsWhere(batch.decoderActive, 1))
})

const valuesOf = ({ decoder, denoiser }: BranchSums, divisor: number) =>
  ({ denoiser: divisor * denoiser.dataSync()[0]!, decoder: divisor * decoder.dataSync()[0]! })

/** Losses alone: held-out evaluation. Synchronous; call it inside a kernel. */
export const evaluateLosses = (elf: Elf, batch: TrainingRows, timeEpsilon: number): Losses =>
  tf.tidy(() => lossesOf({ ...weightsOf(batch), ...valuesOf(branchSums(elf, batch, timeEpsilon, 1), 1) }))

/**
 * Sums of both branches, and the gradients of their total divided by `divisor`: what a process adds that holds a part of the
 * batch's rows. Synchronous; call it inside a kernel.
 */
export const lossSumsAndGradients = (elf: Elf, batch: TrainingRows, timeEpsilon: number, divisor: number): { readonly sums: LossSums; readonly gradients: Parameters } => {
  let values = { denoiser: 0, decoder: 0 }
  const total = (): tf.Scalar => {
    const branches = branchSums(elf, batch, timeEpsilon, divisor)
    values = valuesOf(branches, divisor)
    return tf.add(branches.denoiser, branches.decoder)
  }
  const { gradients } = valueAndGradients(elf.parameters, total)
  return { sums: { ...weightsOf(batch), ...values }, gradients }
}

/**
 * Losses and gradients of one batch. Synchronous; call it inside a kernel. A parameter that the batch does not reach has
 * gradient 0.
 * @source `train_step.py`, `train_step`; `distill_train_step.py`, `distill_train_step`
 */
export const lossAndGradients = (elf: Elf, batch: TrainingRows, timeEpsilon: number): LossAndGradients => {
  const { gradients, sums } = lossSumsAndGradients(elf, batch, timeEpsilon, denominator(weightsOf(batch)))
  return { ...lossesOf(sums), gradients }
}
