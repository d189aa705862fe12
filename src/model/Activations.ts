/**
 * Smooth activations.
 */
import * as tf from "@tensorflow/tfjs-core"
import { forwardKernels } from "./backend/ownKernels.ts"

/** x · sigmoid(x) */
export const silu = <T extends tf.Tensor>(x: T): T => tf.mul(x, tf.sigmoid(x)) as T

/** gelu in its tanh form: x · sigmoid(2u) with u = √(2/π)·(x + 0.044715·x³). */
export const gelu = <T extends tf.Tensor>(x: T): T => {
  const run = forwardKernels()
  if (run !== undefined) return run("ElfGelu", [x], 1)[0] as T
  const twiceU = tf.mul(tf.add(x, tf.mul(tf.mul(tf.square(x), x), 0.044715)), 2 * Math.sqrt(2 / Math.PI))
  return tf.mul(x, tf.sigmoid(twiceU)) as T
}
