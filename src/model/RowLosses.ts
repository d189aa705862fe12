/**
 * The denoiser's loss row by row, where the training loss is one number for a batch.
 */
import * as tf from "@tensorflow/tfjs-core"
import { type Elf, predict } from "./Elf.ts"
import type { VelocityRows } from "./Loss.ts"
import { velocityTowards } from "./Velocity.ts"

/**
 * Mean squared velocity error of each row's counted tokens, `[B]`; 0 for a row without any. All rows are denoiser rows.
 * Synchronous; call it inside a kernel.
 * @source `train_step.py`, `l2_per_token`
 */
export const rowDenoiserLosses = (elf: Elf, rows: VelocityRows, timeEpsilon: number): Float32Array =>
  tf.tidy(() => {
    const shape: [number, number, number] = [rows.size, rows.length, rows.width]
    const z = tf.tensor3d(rows.z, shape)
    const t = tf.tensor1d(rows.t)
    const prediction = predict(elf, {
      z,
      t,
      ...(rows.selfCondition === undefined ? {} : { selfCondition: tf.tensor3d(rows.selfCondition, shape) }),
      ...(rows.selfConditionScale === undefined ? {} : { selfConditionScale: tf.tensor1d(rows.selfConditionScale) })
    })
    const velocity = velocityTowards(prediction, z, t, timeEpsilon)
    const perToken = tf.mean(tf.squaredDifference(velocity, tf.tensor3d(rows.velocityTarget, shape)), 2)
    const counted = tf.tensor2d(rows.lossMask, [rows.size, rows.length])
    const sums = tf.sum(tf.mul(perToken, counted), 1)
    return tf.div(sums, tf.maximum(tf.sum(counted, 1), 1)).dataSync() as Float32Array
  })
