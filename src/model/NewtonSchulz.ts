/**
 * Newton–Schulz orthogonalisation of matrices: the heart of Muon.
 *
 * Notable: matrices of one shape go through together, `[n, rows, columns]`. For clearly rectangular ones the iteration runs
 * on the small Gram matrix: every iterate is Q·X with Q a polynomial in G = X·Xᵀ, so one G, a few small products and one
 * Q·X give the same result for a fraction of the work.
 */
import * as tf from "@tensorflow/tfjs-core"

const [a, b, c] = [3.4445, -4.775, 2.0315] as const
const epsilon = 1e-8

/** 1 / (‖X‖ + ε) of each matrix, `[n, 1, 1]`. */
const inverseNorm = (x: tf.Tensor3D): tf.Tensor3D =>
  tf.reciprocal(tf.add(tf.sqrt(tf.sum(tf.square(x), [1, 2], true)), epsilon))

/** b·G + c·G² for symmetric G. */
const curvature = (gram: tf.Tensor3D): tf.Tensor3D => tf.add(tf.mul(gram, b), tf.mul(tf.matMul(gram, gram), c))

const iterateDirectly = (x: tf.Tensor3D, steps: number): tf.Tensor3D => {
  let current = tf.mul(x, inverseNorm(x)) as tf.Tensor3D
  for (let step = 0; step < steps; step++) {
    const previous = current
    current = tf.tidy(() => tf.add(tf.mul(previous, a), tf.matMul(curvature(tf.matMul(previous, previous, false, true)), previous)))
    previous.dispose()
  }
  return current
}

const iterateOnGram = (x: tf.Tensor3D, transposed: boolean, steps: number): tf.Tensor3D => {
  const scale = inverseNorm(x)
  let gram = tf.mul(tf.matMul(x, x, transposed, !transposed), tf.square(scale)) as tf.Tensor3D
  const identity = tf.mul(tf.eye(gram.shape[1]), a)
  let q: tf.Tensor3D | undefined
  for (let step = 0; step < steps; step++) {
    const factor = tf.add(curvature(gram), identity) as tf.Tensor3D
    q = q === undefined ? tf.mul(factor, scale) : tf.matMul(factor, q)
    if (step + 1 < steps) gram = tf.matMul(factor, tf.matMul(factor, gram))
  }
  if (q === undefined) return tf.mul(x, scale)
  return transposed ? tf.matMul(x, q, false, true) : tf.matMul(q, x)
}

/** Where the Gram form does fewer multiplications: 20·r²·c + 10·r³ against 4·r²·c + 34·r³, r ≤ c. */
const gramPays = (rows: number, columns: number): boolean => columns > 1.5 * rows

/** Approximately orthogonal matrices with the singular vectors of `x` `[n, rows, columns]`; a zero matrix stays zero. */
export const newtonSchulzBatch = (x: tf.Tensor3D, steps = 5): tf.Tensor3D =>
  tf.tidy(() => {
    const [, m, n] = x.shape
    const transposed = m > n
    if (gramPays(Math.min(m, n), Math.max(m, n))) return iterateOnGram(x, transposed, steps)
    const turned = (y: tf.Tensor3D) => tf.transpose(y, [0, 2, 1])
    return transposed ? turned(iterateDirectly(turned(x), steps)) : iterateDirectly(x, steps)
  })

/**
 * The same for one matrix `[rows, columns]`.
 * @source `utils/muon_utils.py`, `_zeropower_via_newtonschulz5_fp32`
 */
export const newtonSchulz = (x: tf.Tensor2D, steps = 5): tf.Tensor2D =>
  tf.tidy(() => tf.squeeze(newtonSchulzBatch(tf.expandDims(x, 0), steps), [0]))
