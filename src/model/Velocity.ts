/**
 * From a prediction of the data to the velocity that leads there.
 */
import * as tf from "@tensorflow/tfjs-core"
import { scaled } from "./backend/kernels.ts"
import { forwardKernels, ownKernels } from "./backend/ownKernels.ts"

/** One number a row, to be multiplied with its tokens: `[B]` → `[B, 1, 1]` */
export const column = (x: tf.Tensor1D): tf.Tensor3D => tf.reshape(x, [-1, 1, 1])

/** max(1 − t, timeEpsilon) of times `[B]` as `[B, 1, 1]`: what a difference x̂ − z is divided by to be a velocity. */
export const remainingTime = (t: tf.Tensor1D, timeEpsilon: number): tf.Tensor3D => tf.maximum(tf.sub(1, column(t)), timeEpsilon)

/** (x̂ − z) / max(1 − t, timeEpsilon). `[B, S, D]`, times `[B]` @source `train_step.py`, `net_out_to_v_x` */
export const velocityTowards = (prediction: tf.Tensor3D, z: tf.Tensor3D, t: tf.Tensor1D, timeEpsilon: number): tf.Tensor3D => {
  const run = forwardKernels()
  if (run !== undefined) return run("ElfVelocity", [prediction, z, t, tf.scalar(timeEpsilon)], 1)[0] as tf.Tensor3D
  return tf.div(tf.sub(prediction, z), remainingTime(t, timeEpsilon))
}

/** Σ over tokens of weight · mean over D of (x − target)². `x`, `target` `[B, S, D]`, `weights` `[B, S]` */
export const weightedSquares = (x: tf.Tensor3D, target: tf.Tensor3D, weights: tf.Tensor2D): tf.Scalar =>
  tf.sum(tf.mul(tf.mean(tf.squaredDifference(x, target), 2), weights))

/** What a velocity is compared with. */
export interface VelocityTarget {
  /** Noisy latents `[B, S, D]`. */
  readonly z: tf.Tensor3D
  /** `[B]` */
  readonly t: tf.Tensor1D
  /** The velocity that it should be `[B, S, D]`. */
  readonly target: tf.Tensor3D
  /** What each token counts `[B, S]`. */
  readonly weights: tf.Tensor2D
}

/** Σ over tokens of weight · mean over D of (velocity − target)², differentiable in the prediction `[B, S, D]`. @source `train_step.py`, `l2_per_token` */
export const velocityLoss = (prediction: tf.Tensor3D, { t, target, weights, z }: VelocityTarget, timeEpsilon: number): tf.Scalar => {
  const run = ownKernels()
  if (run === undefined) return weightedSquares(velocityTowards(prediction, z, t, timeEpsilon), target, weights)
  return tf.customGrad((prediction, save) => {
    const [value, gradient] = run("ElfVelocityLoss", [prediction as tf.Tensor, z, target, t, weights, tf.scalar(timeEpsilon)], 2) as [tf.Scalar, tf.Tensor]
    ;(save as tf.GradSaveFunc)([gradient])
    return { value, gradFunc: (dy: tf.Tensor, saved: Array<tf.Tensor>) => scaled(saved[0]!, dy) }
  })(prediction) as tf.Scalar
}
