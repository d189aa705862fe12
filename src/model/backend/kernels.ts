/**
 * Operations for which libtensorflow has one kernel where the portable form needs several passes over memory.
 */
import * as tf from "@tensorflow/tfjs-core"
import { ownKernels } from "./ownKernels.ts"

/** The part of tfjs-node's backend that runs any TensorFlow operation by name. */
interface TensorFlowBackend {
  readonly executeMultipleOutputs: (
    name: string,
    attributes: ReadonlyArray<{ readonly name: string; readonly type: number; readonly value: unknown }>,
    inputs: ReadonlyArray<tf.Tensor>,
    outputs: number
  ) => Array<tf.Tensor>
  readonly binding: Record<"TF_ATTR_TYPE" | "TF_FLOAT" | "TF_INT32", number>
}

const native = (): TensorFlowBackend | undefined =>
  tf.getBackend() === "tensorflow" ? tf.backend() as unknown as TensorFlowBackend : undefined

/** Per-row losses `[rows]` and their gradient with respect to the logits `[rows, V]`. */
export interface SoftmaxLoss {
  readonly losses: tf.Tensor1D
  readonly gradient: tf.Tensor2D
}

const portable = (logits: tf.Tensor2D, targets: tf.Tensor1D): SoftmaxLoss => {
  const shifted = tf.sub(logits, tf.max(logits, 1, true))
  const exponentials = tf.exp(shifted)
  const sums = tf.sum(exponentials, 1, true)
  // WebAssembly's kernel writes integers whatever type is asked for, so floats are made by a cast.
  const hot = tf.cast(tf.oneHot(targets, logits.shape[1], 1, 0, "int32"), "float32") as tf.Tensor2D
  const target = tf.sum(tf.mul(shifted, hot), 1)
  return { losses: tf.sub(tf.log(tf.squeeze(sums, [1])), target), gradient: tf.sub(tf.div(exponentials, sums), hot) }
}

/** Softmax cross-entropy of `logits` `[rows, V]` against token ids `[rows]` int32, with its gradient. */
export const sparseSoftmaxCrossEntropy = (logits: tf.Tensor2D, targets: tf.Tensor1D): SoftmaxLoss => {
  const backend = native()
  if (backend === undefined) return portable(logits, targets)
  const { TF_ATTR_TYPE, TF_FLOAT, TF_INT32 } = backend.binding
  const attributes = [
    { name: "T", type: TF_ATTR_TYPE, value: TF_FLOAT },
    { name: "Tlabels", type: TF_ATTR_TYPE, value: TF_INT32 }
  ]
  const [losses, gradient] = backend.executeMultipleOutputs("SparseSoftmaxCrossEntropyWithLogits", attributes, [logits, targets], 2)
  return { losses: losses as tf.Tensor1D, gradient: gradient as tf.Tensor2D }
}

/** Per-row losses `[rows]`, and the gradients of their weighted sum. */
export interface WeightedLoss {
  readonly losses: tf.Tensor1D
  /** With respect to the logits. `[rows, V]` */
  readonly gradient: tf.Tensor2D
  /** With respect to the bias. `[V]` */
  readonly biasGradient: tf.Tensor1D
}

/**
 * Softmax cross-entropy of `product + bias` against token ids, each row's gradient times its weight. `product` `[rows, V]`,
 * `bias` `[V]`, `targets` `[rows]` int32, `weights` `[rows]`
 *
 * **Gotchas** The product is used up: where this library's own kernel runs, its memory becomes the gradient.
 */
export const weightedCrossEntropy = (product: tf.Tensor2D, bias: tf.Tensor1D, targets: tf.Tensor1D, weights: tf.Tensor1D): WeightedLoss => {
  const run = ownKernels()
  if (run !== undefined) {
    const [losses, biasGradient] = run("ElfCrossEntropy", [product, bias, targets, weights], 2) as [tf.Tensor1D, tf.Tensor1D]
    return { losses, biasGradient, gradient: product }
  }
  const { gradient, losses } = sparseSoftmaxCrossEntropy(tf.add(product, bias), targets)
  const weighted = tf.mul(gradient, tf.expandDims(weights, 1)) as tf.Tensor2D
  return { losses, gradient: weighted, biasGradient: tf.sum(weighted, 0) }
}

/** sum + aᵀ · b. The sum is used up: where it can be, it is changed in place. `sum` `[M, N]`, `a` `[K, M]`, `b` `[K, N]` */
export const addProduct = (sum: tf.Tensor2D, a: tf.Tensor2D, b: tf.Tensor2D): tf.Tensor2D => {
  const run = ownKernels()
  if (run === undefined) return tf.add(sum, tf.matMul(a, b, true, false))
  run("ElfAddProduct", [a, b, sum], 0)
  return tf.clone(sum)
}

/** factor · x, for a scalar factor. `x` is used up: where it can be, it is changed in place. */
export const scaled = (x: tf.Tensor, factor: tf.Tensor): tf.Tensor => {
  const run = ownKernels()
  if (run === undefined) return tf.mul(x, factor)
  run("ElfScale", [x, factor], 0)
  return tf.clone(x)
}
