/**
 * From a prediction of the data to the velocity that leads there.
 */
import * as tf from "@tensorflow/tfjs-core"
import { forwardKernels } from "./backend/ownKernels.ts"

const column = (x: tf.Tensor1D): tf.Tensor3D => tf.reshape(x, [-1, 1, 1])

/** max(1 − t, timeEpsilon) of times `[B]` as `[B, 1, 1]`: what a difference x̂ − z is divided by to be a velocity. */
export const remainingTime = (t: tf.Tensor1D, timeEpsilon: number): tf.Tensor3D => tf.maximum(tf.sub(1, column(t)), timeEpsilon)

/** (x̂ − z) / max(1 − t, timeEpsilon). `[B, S, D]`, times `[B]` @source `train_step.py`, `net_out_to_v_x` */
export const velocityTowards = (prediction: tf.Tensor3D, z: tf.Tensor3D, t: tf.Tensor1D, timeEpsilon: number): tf.Tensor3D => {
  const run = forwardKernels()
  if (run !== undefined) return run("ElfVelocity", [prediction, z, t, tf.scalar(timeEpsilon)], 1)[0] as tf.Tensor3D
  return tf.div(tf.sub(prediction, z), remainingTime(t, timeEpsilon))
}
