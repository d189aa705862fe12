/**
 * Multi-head self-attention with normalised queries and keys and rotary positions.
 */
import * as tf from "@tensorflow/tfjs-core"
import { ownKernels, type RunKernel } from "./backend/ownKernels.ts"
import { project } from "./Linear.ts"
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

/** What queries, keys and values are made with, beside their product. */
interface HeadWeights {
  /** `[3·H·d]` */
  readonly bias: tf.Tensor
  /** `[d]`, with the scale 1/√d folded in. */
  readonly query: tf.Tensor
  /** `[d]` */
  readonly key: tf.Tensor
}

type QueryKeyValue = [query: tf.Tensor4D, key: tf.Tensor4D, value: tf.Tensor4D]

const portable = (product: tf.Tensor2D, weights: HeadWeights, rope: RopeTable, { batch, heads, positions }: AttentionShape, bias?: tf.Tensor): tf.Tensor2D => {
  const grouped = tf.reshape(tf.add(product, weights.bias), [batch, positions, 3, heads, product.shape[1] / 3 / heads])
  const [query, key, value] = tf.unstack(tf.transpose(grouped, [2, 0, 3, 1, 4]), 0) as QueryKeyValue
  return joinHeads(attend(rotate(rope, rmsNorm(query, weights.query)), rotate(rope, rmsNorm(key, weights.key)), value, bias))
}

/** One operation with one gradient, without a mask; no array of all queries and all keys is ever held. */
const native = (run: RunKernel, { cos, sin }: RopeTable) =>
  tf.customGrad((...given) => {
    const save = given.pop() as tf.GradSaveFunc
    const inputs = given as Array<tf.Tensor>
    const [query, key, value, inverse] = run("ElfHeads", [...inputs, cos, sin], 4) as [...QueryKeyValue, tf.Tensor]
    const [attended, softmax] = run("ElfAttention", [query, key, value], 2) as [tf.Tensor2D, tf.Tensor]
    // Last: what is saved by an operation that fails afterwards would belong to nobody.
    save([...inputs, inverse, query, key, value, softmax])
    const gradFunc = (dy: tf.Tensor, saved: Array<tf.Tensor>) => {
      // Saved tensors are released off the list itself, so nothing may be taken out of it.
      const [product, headBias, queryWeight, keyWeight, inverse] = saved as [tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]
      const gradients = run("ElfAttentionGradient", [dy, ...saved.slice(5)], 3)
      return run("ElfHeadsGradient", [...gradients, product, headBias, queryWeight, keyWeight, cos, sin, inverse], 4)
    }
    return { value: attended, gradFunc }
  })

/** Attention between the two products: `product` `[B·N, 3·H·d]` of the layout (3, heads, d) → `[B·N, H·d]` */
const attention = (product: tf.Tensor2D, weights: HeadWeights, rope: RopeTable, shape: AttentionShape, bias?: tf.Tensor): tf.Tensor2D => {
  const run = bias === undefined ? ownKernels() : undefined
  return run === undefined
    ? portable(product, weights, rope, shape, bias)
    : native(run, rope)(product, weights.bias, weights.query, weights.key) as tf.Tensor2D
}

/**
 * Self-attention on `x` `[B·N, hidden]`, without the bias of its last product, which the caller adds. The query's scale
 * 1/√d is folded into its norm's weight.
 * @source `modules/layers.py`, `Attention`
 */
export const selfAttention = (
  parameters: Parameters,
  name: string,
  x: tf.Tensor2D,
  shape: AttentionShape,
  rope: RopeTable,
  bias?: tf.Tensor
): tf.Tensor2D => {
  const weights = {
    bias: parameter(parameters, `${name}.qkv.bias`),
    query: tf.mul(parameter(parameters, `${name}.q_norm.weight`), 1 / Math.sqrt(rope.cos.shape[1])),
    key: parameter(parameters, `${name}.k_norm.weight`)
  }
  const attended = attention(project(x, parameter(parameters, `${name}.qkv.weight`)), weights, rope, shape, bias)
  return project(attended, parameter(parameters, `${name}.proj.weight`))
}
