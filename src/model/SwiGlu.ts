/**
 * The gated feed-forward layer.
 */
import * as tf from "@tensorflow/tfjs-core"
import { ownKernels, type RunKernel } from "./backend/ownKernels.ts"
import { project } from "./Linear.ts"
import { parameter, type Parameters } from "./Parameters.ts"

/** silu(a) · b, and its gradient from one sigmoid. */
const multiply = tf.customGrad((a, b, save) => {
  const left = a as tf.Tensor
  const right = b as tf.Tensor
  const sigmoid = tf.sigmoid(left)
  const activated = tf.mul(left, sigmoid)
  const value = tf.mul(activated, right)
  ;(save as tf.GradSaveFunc)([right, sigmoid, activated])
  const gradFunc = (dy: tf.Tensor, saved: Array<tf.Tensor>) => {
    const [right, sigmoid, activated] = saved as [tf.Tensor, tf.Tensor, tf.Tensor]
    const slope = tf.add(sigmoid, tf.mul(activated, tf.sub(1, sigmoid)))
    return [tf.mul(tf.mul(dy, right), slope), tf.mul(dy, activated)]
  }
  return { value, gradFunc }
})

const portable = (product: tf.Tensor2D, bias: tf.Tensor): tf.Tensor2D => {
  const [left, right] = tf.split(tf.add(product, bias) as tf.Tensor2D, 2, 1) as [tf.Tensor2D, tf.Tensor2D]
  return multiply(left, right) as tf.Tensor2D
}

/** Keeps the product alone and computes the gate again backwards: that is cheaper than to write it and read it. */
const native = (run: RunKernel) => tf.customGrad((product, bias, save) => {
  const inputs = [product as tf.Tensor, bias as tf.Tensor]
  const value = run("ElfGate", inputs, 1)[0]!
  ;(save as tf.GradSaveFunc)(inputs)
  const gradFunc = (dy: tf.Tensor, saved: Array<tf.Tensor>) => run("ElfGateGradient", [dy, ...saved], 2)
  return { value, gradFunc }
})

/** silu(x₁) · x₂ with [x₁ | x₂] = product + bias. `[rows, 2·inner]` → `[rows, inner]` */
const gate = (product: tf.Tensor2D, bias: tf.Tensor): tf.Tensor2D => {
  const run = ownKernels()
  return run === undefined ? portable(product, bias) : native(run)(product, bias) as tf.Tensor2D
}

/**
 * silu(x₁) · x₂ with [x₁ | x₂] = w12(x), and its product with w3, whose bias the caller adds. `[rows, hidden]` → `[rows, hidden]`
 * @source `modules/layers.py`, `SwiGLUFFN`
 */
export const swiGlu = (parameters: Parameters, name: string, x: tf.Tensor2D): tf.Tensor2D => {
  const inner = gate(project(x, parameter(parameters, `${name}.w12.weight`)), parameter(parameters, `${name}.w12.bias`))
  return project(inner, parameter(parameters, `${name}.w3.weight`))
}
