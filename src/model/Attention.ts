/**
 * Multi-head self-attention with normalised queries and keys and rotary positions.
 */
import * as tf from "@tensorflow/tfjs-core"
import { linear } from "./Linear.ts"
import { parameter, type Parameters } from "./Parameters.ts"
import { rmsNorm } from "./RmsNorm.ts"
import { rotate, type RopeTable } from "./Rope.ts"

/** How rows of the residual stream are grouped: B sequences of N positions, H heads. */
export interface AttentionShape {
  readonly batch: number
  readonly positions: number
  readonly heads: number
}

/** `[B·N, H·d]` → `[B, H, N, d]` */
export const splitHeads = (x: tf.Tensor2D, { batch, heads, positions }: AttentionShape): tf.Tensor4D =>
  tf.transpose(tf.reshape(x, [batch, positions, heads, x.shape[1] / heads]), [0, 2, 1, 3])

/** Queries, keys and values of one product: `[B·N, 3·H·d]` → three times `[B, H, N, d]`. */
const splitQueryKeyValue = (x: tf.Tensor2D, { batch, heads, positions }: AttentionShape): Array<tf.Tensor4D> => {
  const grouped = tf.reshape(x, [batch, positions, 3, heads, x.shape[1] / 3 / heads])
  return tf.unstack(tf.transpose(grouped, [2, 0, 3, 1, 4]), 0) as Array<tf.Tensor4D>
}

/** Joins the heads again: `[B, H, N, d]` → `[B·N, H·d]`. */
export const joinHeads = (x: tf.Tensor4D): tf.Tensor2D =>
  tf.reshape(tf.transpose(x, [0, 2, 1, 3]), [x.shape[0] * x.shape[2], x.shape[1] * x.shape[3]])

/** softmax(q · kᵀ + bias) · v. `bias` broadcasts against `[B, H, N, N]`; the scale is already in `q`. */
export const attend = (q: tf.Tensor4D, k: tf.Tensor4D, v: tf.Tensor4D, bias?: tf.Tensor): tf.Tensor4D => {
  const scores = tf.matMul(q, k, false, true)
  return tf.matMul(tf.softmax(bias === undefined ? scores : tf.add(scores, bias)), v) as tf.Tensor4D
}

/** 0 where `mask` is 1 and a value that softmax turns into exact zero where it is 0. Same shape as `mask`. */
export const maskBias = (mask: tf.Tensor): tf.Tensor => tf.mul(tf.sub(1, mask), -1e30)

/**
 * Self-attention on `x` `[B·N, hidden]`. The query's scale 1/√d is folded into its norm's weight.
 * @source `modules/layers.py`, `Attention`
 */
export const selfAttention = (
  parameters: Parameters,
  name: string,
  x: tf.Tensor2D,
  shape: AttentionShape,
  rope?: RopeTable,
  bias?: tf.Tensor
): tf.Tensor2D => {
  const [q, k, v] = splitQueryKeyValue(linear(parameters, `${name}.qkv`, x), shape) as [tf.Tensor4D, tf.Tensor4D, tf.Tensor4D]
  const turn = (part: tf.Tensor4D) => (rope === undefined ? part : rotate(rope, part))
  const queryWeight = tf.mul(parameter(parameters, `${name}.q_norm.weight`), 1 / Math.sqrt(q.shape[3]))
  const queries = turn(rmsNorm(q, queryWeight))
  const keys = turn(rmsNorm(k, parameter(parameters, `${name}.k_norm.weight`)))
  return linear(parameters, `${name}.proj`, joinHeads(attend(queries, keys, v, bias)))
}
