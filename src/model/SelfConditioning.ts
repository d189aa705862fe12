/**
 * The passes without gradient that training makes before its step: a first prediction, and the guidance that a network
 * conditioned on that prediction would add to the velocity.
 *
 * Notable: only rows that use self-conditioning come here; the reference runs both passes on all rows.
 */
import * as tf from "@tensorflow/tfjs-core"
import { type Elf, predict } from "./Elf.ts"
import { withHalves } from "./TextTokens.ts"
import { column, remainingTime } from "./Velocity.ts"

/** Denoiser rows that use self-conditioning. */
export interface SelfConditioningRows {
  /** `[R, S, D]` */
  readonly z: tf.Tensor3D
  /** `[R]` */
  readonly t: tf.Tensor1D
  /** w `[R]`; absent for the variant without self-conditioning-scale tokens, which has no guidance target. */
  readonly selfConditionScale?: tf.Tensor1D
  /** Clean latents `[R, S, D]`, put back at condition positions. */
  readonly clean: tf.Tensor3D
  /** 1 = condition `[R, S]` */
  readonly conditionMask: tf.Tensor2D
}

/** What the passes give, `[R, S, D]` each. */
export interface SelfConditioned {
  /** x̂, with the condition restored. */
  readonly prediction: tf.Tensor3D
  /** (1 − 1/w) · (v with x̂ − v without), to be added to the velocity target; 0 for the variant. */
  readonly guidance: tf.Tensor3D
}

/** `clean` at condition positions, `x` elsewhere. `[B, S, D]`, mask `[B, S]` @source `sampling_utils.py`, `restore_cond` */
export const restoreCondition = (x: tf.Tensor3D, clean: tf.Tensor3D, conditionMask: tf.Tensor2D): tf.Tensor3D =>
  tf.where(tf.cast(tf.expandDims(conditionMask, 2), "bool"), clean, x)

/**
 * Runs the one or two passes. Synchronous; call it inside a kernel.
 * @source `train_step.py`, `compute_shared_uncond`, `get_sc_guided_v`
 */
export const selfConditioning = (given: Elf, rows: SelfConditioningRows, timeEpsilon: number): SelfConditioned => {
  const { clean, conditionMask, selfConditionScale, t, z } = rows
  const elf = withHalves(given)
  const input = { z, t, ...(selfConditionScale === undefined ? {} : { selfConditionScale }) }
  const without = tf.tidy(() => predict(elf, { ...input, selfCondition: restoreCondition(tf.zerosLike(z), clean, conditionMask) }))
  const prediction = restoreCondition(without, clean, conditionMask)
  if (selfConditionScale === undefined) return { prediction, guidance: tf.zerosLike(z) }
  const withPrediction = tf.tidy(() => predict(elf, { ...input, selfCondition: prediction }))
  const weight = tf.div(tf.sub(1, tf.reciprocal(column(selfConditionScale))), remainingTime(t, timeEpsilon))
  return { prediction, guidance: tf.mul(tf.sub(withPrediction, without), weight) }
}
