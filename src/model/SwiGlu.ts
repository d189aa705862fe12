/**
 * The gated feed-forward layer.
 */
import * as tf from "@tensorflow/tfjs-core"
import { linear } from "./Linear.ts"
import type { Parameters } from "./Parameters.ts"

/** silu(a) · b, and its gradient from one sigmoid. */
const gate = tf.customGrad((a, b, save) => {
  const left = a as tf.Tensor
  const right = b as tf.Tensor
  const sigmoid = tf.sigmoid(left)
  const activated = tf.mul(left, sigmoid)
  ;(save as tf.GradSaveFunc)([right, sigmoid, activated])
  const gradFunc = (dy: tf.Tensor, saved: Array<tf.Tensor>) => {
    const [right, sigmoid, activated] = saved as [tf.Tensor, tf.Tensor, tf.Tensor]
    const slope = tf.add(sigmoid, tf.mul(activated, tf.sub(1, sigmoid)))
    return [tf.mul(tf.mul(dy, right), slope), tf.mul(dy, activated)]
  }
  return { value: tf.mul(activated, right), gradFunc }
})

/**
 * w3(silu(x₁) · x₂) with [x₁ | x₂] = w12(x). `[rows, hidden]` → `[rows, hidden]`
 * @source `modules/layers.py`, `SwiGLUFFN`
 */
export const swiGlu = (parameters: Parameters, name: string, x: tf.Tensor2D): tf.Tensor2D => {
  const [left, right] = tf.split(linear(parameters, `${name}.w12`, x), 2, 1) as [tf.Tensor2D, tf.Tensor2D]
  return linear(parameters, `${name}.w3`, gate(left, right) as tf.Tensor2D)
}
