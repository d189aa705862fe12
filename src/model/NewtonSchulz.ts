/**
 * Newton–Schulz orthogonalisation of matrices: the heart of Muon.
 *
 * Notable: matrices of one shape go through together, `[n, rows, columns]`. For clearly rectangular ones the iteration runs
 * on the small Gram matrix: every iterate is Q·X with Q a polynomial in G = X·Xᵀ, so one G, a few small products and one
 * Q·X give the same result for a fraction of the work. All matrices of that iteration are symmetric and commute, so half of
 * each of their products need not be computed either.
 */
import * as tf from "@tensorflow/tfjs-core"
import { type SymmetricAlgebra, symmetricAlgebra } from "./SymmetricProduct.ts"

/** a·X + b·G·X + c·G²·X is one step. */
const step = { identity: 3.4445, matrix: -4.775, product: 2.0315 }
const epsilon = 1e-8

/** 1 / (‖X‖ + ε) of each matrix, `[n, 1, 1]`, from its squared norm. */
const inverseNorm = (squares: tf.Tensor): tf.Tensor3D => tf.reshape(tf.reciprocal(tf.add(tf.sqrt(squares), epsilon)), [-1, 1, 1])

/** The iteration on X itself, for matrices that are nearly square. */
const iterateDirectly = (algebra: SymmetricAlgebra, x: tf.Tensor3D, scale: tf.Tensor3D, steps: number): tf.Tensor3D => {
  let current = tf.mul(x, scale) as tf.Tensor3D
  for (let i = 0; i < steps; i++) {
    const previous = current
    current = tf.tidy(() => tf.matMul(algebra.polynomial(algebra.gram(previous, false), step), previous))
    previous.dispose()
  }
  return current
}

/** The iteration on G; returns Q with Q·X the last iterate. */
const iterateOnGram = (algebra: SymmetricAlgebra, gram: tf.Tensor3D, scale: tf.Tensor3D, steps: number): tf.Tensor3D => {
  let power = gram
  let factor = algebra.polynomial(gram, step)
  let q = tf.mul(factor, scale) as tf.Tensor3D
  for (let i = 1; i < steps; i++) {
    const before = [power, factor, q]
    const [nextPower, nextFactor, nextQ] = tf.tidy(() => {
      const next = algebra.product(factor, algebra.product(factor, power))
      const polynomial = algebra.polynomial(next, step)
      return [next, polynomial, algebra.product(polynomial, q)]
    }) as [tf.Tensor3D, tf.Tensor3D, tf.Tensor3D]
    ;[power, factor, q] = [nextPower, nextFactor, nextQ]
    tf.dispose(before)
  }
  tf.dispose([power, factor])
  return q
}

/** Where the Gram form does fewer multiplications. Both forms are counted with whole products, r ≤ c. */
const gramPays = (rows: number, columns: number): boolean => columns > 1.5 * rows

/**
 * Approximately orthogonal matrices with the singular vectors of `x` `[n, rows, columns]`; a zero matrix stays zero.
 * `squares` `[n]` are the squared norms, where they are known.
 */
export const newtonSchulzBatch = (x: tf.Tensor3D, steps = 5, squares?: tf.Tensor): tf.Tensor3D =>
  tf.tidy(() => {
    const [, m, n] = x.shape
    const tall = m > n
    const algebra = symmetricAlgebra()
    const scale = inverseNorm(squares ?? tf.sum(tf.square(x), [1, 2]))
    if (steps > 0 && gramPays(Math.min(m, n), Math.max(m, n))) {
      const q = iterateOnGram(algebra, algebra.gram(x, tall, tf.square(scale)), scale, steps)
      const last = tall ? tf.matMul(x, q, false, true) : tf.matMul(q, x)
      q.dispose()
      return last as tf.Tensor3D
    }
    const turned = (y: tf.Tensor3D) => tf.transpose(y, [0, 2, 1])
    return tall ? turned(iterateDirectly(algebra, turned(x), scale, steps)) : iterateDirectly(algebra, x, scale, steps)
  })

/**
 * The same for one matrix `[rows, columns]`.
 * @source `utils/muon_utils.py`, `_zeropower_via_newtonschulz5_fp32`
 */
export const newtonSchulz = (x: tf.Tensor2D, steps = 5): tf.Tensor2D =>
  tf.tidy(() => tf.squeeze(newtonSchulzBatch(tf.expandDims(x, 0), steps), [0]))
