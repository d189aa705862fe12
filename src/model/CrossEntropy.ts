/**
 * Cross-entropy against a large vocabulary, without ever holding all logits.
 *
 * Notable: weights of the tokens are known beforehand, so each chunk of tokens is taken forwards and backwards at once;
 * only sums and the gradients survive a chunk. Traded: the gradients are computed even if nobody asks for them, which is
 * why `crossEntropy` is for training and `tokenLosses` for evaluation.
 */
import * as tf from "@tensorflow/tfjs-core"
import { addProduct, scaled, sparseSoftmaxCrossEntropy, weightedCrossEntropy } from "./backend/kernels.ts"
import { ownKernels } from "./backend/ownKernels.ts"

/** The unembedding: `kernel` `[D, V]`, `bias` `[V]`. */
export interface Unembedding {
  readonly kernel: tf.Tensor2D
  readonly bias: tf.Tensor1D
}

const defaultChunk = 256

const chunks = (rows: number, size: number): ReadonlyArray<readonly [begin: number, length: number]> =>
  Array.from({ length: Math.ceil(rows / size) }, (_, i) => [i * size, Math.min(size, rows - i * size)] as const)

const chunkLogits = (head: tf.Tensor2D, kernel: tf.Tensor2D, bias: tf.Tensor1D): tf.Tensor2D => tf.add(tf.matMul(head, kernel), bias)

// A type, not an interface: tf.tidy takes objects with an index signature only.
type Sums = {
  readonly loss: tf.Scalar
  readonly head: Array<tf.Tensor2D>
  readonly kernel: tf.Tensor2D
  readonly bias: tf.Tensor1D
}

const addChunk = (sums: Sums | undefined, head: tf.Tensor2D, { bias, kernel }: Unembedding, targets: tf.Tensor1D, weights: tf.Tensor1D): Sums =>
  tf.tidy(() => {
    const { biasGradient, gradient, losses } = weightedCrossEntropy(tf.matMul(head, kernel), bias, targets, weights)
    const plus = <T extends tf.Tensor>(sum: T | undefined, term: T): T => (sum === undefined ? term : tf.add(sum, term) as T)
    return {
      loss: plus(sums?.loss, tf.sum(tf.mul(losses, weights)) as tf.Scalar),
      head: [...(sums?.head ?? []), tf.matMul(gradient, kernel, false, true) as tf.Tensor2D],
      kernel: sums === undefined ? tf.matMul(head, gradient, true, false) : addProduct(sums.kernel, head, gradient),
      bias: plus(sums?.bias, biasGradient)
    }
  })

/**
 * Σ weightᵢ · CE(head·kernel + bias, targetᵢ) as a scalar, differentiable in `head` `[rows, D]`, `kernel` and `bias`.
 * `targets` `[rows]` are token ids, `weights` `[rows]`.
 * @source `train_step.py`, `ce_per_token`
 */
export const crossEntropy = (
  head: tf.Tensor2D,
  unembedding: Unembedding,
  targets: tf.Tensor1D,
  weights: tf.Tensor1D,
  chunk: number = defaultChunk
): tf.Scalar =>
  tf.customGrad((head, kernel, bias, save) => {
    const rows = head as tf.Tensor2D
    let sums: Sums | undefined
    for (const [begin, length] of chunks(rows.shape[0], chunk)) {
      const part = <T extends tf.Tensor>(x: T): T => tf.slice(x, [begin], [length]) as T
      const at = { kernel: kernel as tf.Tensor2D, bias: bias as tf.Tensor1D }
      const previous = sums
      sums = addChunk(previous, tf.slice(rows, [begin, 0], [length, rows.shape[1]]), at, part(targets), part(weights))
      if (previous !== undefined) tf.dispose([previous.loss, previous.kernel, previous.bias])
    }
    if (sums === undefined) throw new Error("crossEntropy needs at least one row")
    ;(save as tf.GradSaveFunc)([tf.concat(sums.head, 0), sums.kernel, sums.bias])
    const gradFunc = (dy: tf.Tensor, saved: Array<tf.Tensor>) => saved.map((gradient) => scaled(gradient, dy))
    return { value: sums.loss, gradFunc }
  })(head, unembedding.kernel, unembedding.bias) as tf.Scalar

/** The cross-entropy of each row, `[rows]`, chunk by chunk, without gradients. */
export const tokenLosses = (head: tf.Tensor2D, { bias, kernel }: Unembedding, targets: tf.Tensor1D, chunk: number = defaultChunk): tf.Tensor1D =>
  tf.concat(
    chunks(head.shape[0], chunk).map(([begin, length]) =>
      tf.tidy(() => {
        const part = tf.slice(head, [begin, 0], [length, head.shape[1]])
        return sparseSoftmaxCrossEntropy(chunkLogits(part, kernel, bias), tf.slice(targets, [begin], [length])).losses
      })
    )
  ) as tf.Tensor1D

/** The most likely token of each row, `[rows]` int32; logits are never held whole. @source `generation_utils.py`, `_dlm_decode_batch` */
export const mostLikelyTokens = (head: tf.Tensor2D, { bias, kernel }: Unembedding, chunk: number = defaultChunk): tf.Tensor1D => {
  const run = ownKernels()
  if (run !== undefined) return run("ElfDecode", [head, kernel, bias], 1)[0] as tf.Tensor1D
  return tf.concat(
    chunks(head.shape[0], chunk).map(([begin, length]) =>
      tf.tidy(() => tf.argMax(tf.add(tf.matMul(tf.slice(head, [begin, 0], [length, head.shape[1]]), kernel), bias), 1))
    )
  ) as tf.Tensor1D
}
