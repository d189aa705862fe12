/**
 * Root-mean-square normalisation with a hand-written gradient: half the passes over memory of the derived one.
 */
import * as tf from "@tensorflow/tfjs-core"
import { ownKernels, type RunKernel } from "./backend/ownKernels.ts"

const lastAxisMean = (x: tf.Tensor) => tf.mean(x, -1, true)

const sumToWeight = (x: tf.Tensor): tf.Tensor => tf.sum(tf.reshape(x, [-1, x.shape[x.rank - 1]!]), 0)

const epsilon = 1e-6

const portable = tf.customGrad((x, weight, save) => {
  const input = x as tf.Tensor
  const scale = weight as tf.Tensor
  const inverse = tf.rsqrt(tf.add(lastAxisMean(tf.square(input)), epsilon))
  const normed = tf.mul(input, inverse)
  const value = tf.mul(normed, scale)
  ;(save as tf.GradSaveFunc)([normed, inverse, scale])
  const gradFunc = (dy: tf.Tensor, saved: Array<tf.Tensor>) => {
    const [normed, inverse, scale] = saved as [tf.Tensor, tf.Tensor, tf.Tensor]
    const scaled = tf.mul(dy, scale)
    const along = lastAxisMean(tf.mul(scaled, normed))
    return [tf.mul(tf.sub(scaled, tf.mul(normed, along)), inverse), sumToWeight(tf.mul(dy, normed))]
  }
  return { value, gradFunc }
})

const native = (run: RunKernel) => tf.customGrad((x, weight, save) => {
  const [input, scale] = [x as tf.Tensor, weight as tf.Tensor]
  const [value, inverse] = run("ElfRmsNorm", [input, scale], 2) as [tf.Tensor, tf.Tensor]
  ;(save as tf.GradSaveFunc)([input, scale, inverse])
  return { value, gradFunc: (dy: tf.Tensor, saved: Array<tf.Tensor>) => run("ElfRmsNormGradient", [dy, ...saved], 2) }
})

/**
 * weight · x / √(mean(x²) + 1e-6) over the last axis. `x` `[..., C]`, `weight` `[C]`
 * @source `modules/layers.py`, `RMSNorm`
 */
export const rmsNorm = <T extends tf.Tensor>(x: T, weight: tf.Tensor): T => {
  const run = ownKernels()
  return (run === undefined ? portable : native(run))(x, weight) as T
}
