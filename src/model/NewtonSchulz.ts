/**
 * Newton–Schulz orthogonalisation of a matrix: the heart of Muon.
 *
 * Notable: for clearly rectangular matrices the iteration runs on the small Gram matrix. Every iterate is Q·X with Q a
 * polynomial in G = X·Xᵀ, so one G, a few small products and one Q·X give the same result for a fraction of the work.
 */
import * as tf from "@tensorflow/tfjs-core"

const [a, b, c] = [3.4445, -4.775, 2.0315] as const
const epsilon = 1e-8

const inverseNorm = (x: tf.Tensor2D): tf.Scalar => tf.reciprocal(tf.add(tf.sqrt(tf.sum(tf.square(x))), epsilon))

/** b·G + c·G² for a symmetric G. */
const curvature = (gram: tf.Tensor2D): tf.Tensor2D => tf.add(tf.mul(gram, b), tf.mul(tf.matMul(gram, gram), c))

const iterateDirectly = (x: tf.Tensor2D, steps: number): tf.Tensor2D => {
  let current = tf.mul(x, inverseNorm(x)) as tf.Tensor2D
  for (let step = 0; step < steps; step++) {
    const previous = current
    current = tf.tidy(() => tf.add(tf.mul(previous, a), tf.matMul(curvature(tf.matMul(previous, previous, false, true)), previous)))
    previous.dispose()
  }
  return current
}

const iterateOnGram = (x: tf.Tensor2D, transposed: boolean, steps: number): tf.Tensor2D => {
  const scale = inverseNorm(x)
  let gram = tf.mul(tf.matMul(x, x, transposed, !transposed), tf.square(scale)) as tf.Tensor2D
  const identity = tf.mul(tf.eye(gram.shape[0]), a) as tf.Tensor2D
  let q = tf.mul(tf.eye(gram.shape[0]), scale) as tf.Tensor2D
  for (let step = 0; step < steps; step++) {
    const factor = tf.add(curvature(gram), identity) as tf.Tensor2D
    q = tf.matMul(factor, q)
    if (step + 1 < steps) gram = tf.matMul(factor, tf.matMul(factor, gram))
  }
  return transposed ? tf.matMul(x, q, false, true) : tf.matMul(q, x)
}

/** Where the Gram form does fewer multiplications: 20·r²·c + 10·r³ against 4·r²·c + 36·r³, r ≤ c. */
const gramPays = (rows: number, columns: number): boolean => columns > 1.625 * rows

/**
 * An approximately orthogonal matrix with the singular vectors of `x` `[m, n]`; a zero matrix stays zero.
 * @source `utils/muon_utils.py`, `_zeropower_via_newtonschulz5_fp32`
 */
export const newtonSchulz = (x: tf.Tensor2D, steps = 5): tf.Tensor2D =>
  tf.tidy(() => {
    const [m, n] = x.shape
    const transposed = m > n
    if (gramPays(Math.min(m, n), Math.max(m, n))) return iterateOnGram(x, transposed, steps)
    return transposed ? tf.transpose(iterateDirectly(tf.transpose(x), steps)) : iterateDirectly(x, steps)
  })
