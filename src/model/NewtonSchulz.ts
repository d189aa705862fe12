/**
 * Newton–Schulz orthogonalisation of matrices: the heart of Muon.
 *
 * Notable: matrices of one shape go through together, `[n, rows, columns]`. For clearly rectangular ones the iteration runs
 * on the small Gram matrix: every iterate is Q·X with Q a polynomial in G = X·Xᵀ, so one G, a few small products and one
 * Q·X give the same result for a fraction of the work. All matrices of that iteration are symmetric and commute; this
 * library's own kernel computes half of each.
 */
import * as tf from "@tensorflow/tfjs-core"
import { ownKernels } from "./backend/ownKernels.ts"

/** a·X + b·G·X + c·G²·X is one step. */
const [a, b, c] = [3.4445, -4.775, 2.0315]
const epsilon = 1e-8

/** 1 / (‖X‖ + ε) of each matrix, `[n, 1, 1]`. */
const inverseNorm = (x: tf.Tensor3D): tf.Tensor3D => tf.reshape(tf.reciprocal(tf.add(tf.sqrt(tf.sum(tf.square(x), [1, 2])), epsilon)), [-1, 1, 1])

/** a·I + b·G + c·G² */
const polynomial = (gram: tf.Tensor3D): tf.Tensor3D =>
  tf.tidy(() => tf.add(tf.add(tf.mul(gram, b), tf.mul(tf.matMul(gram, gram), c)), tf.mul(tf.eye(gram.shape[1]), a)))

/** The iteration on X itself, for matrices that are nearly square. */
const iterateDirectly = (x: tf.Tensor3D, scale: tf.Tensor3D, steps: number): tf.Tensor3D => {
  let current = tf.mul(x, scale) as tf.Tensor3D
  for (let i = 0; i < steps; i++) {
    const previous = current
    current = tf.tidy(() => tf.matMul(polynomial(tf.matMul(previous, previous, false, true)), previous))
    previous.dispose()
  }
  return current
}

/** The iteration on G; returns Q with Q·X the last iterate. */
const iterateOnGram = (gram: tf.Tensor3D, scale: tf.Tensor3D, steps: number): tf.Tensor3D => {
  let power = gram
  let factor = polynomial(gram)
  let q = tf.mul(factor, scale) as tf.Tensor3D
  for (let i = 1; i < steps; i++) {
    const before = [power, factor, q]
    const [nextPower, nextFactor, nextQ] = tf.tidy(() => {
      const next: tf.Tensor3D = tf.matMul(factor, tf.matMul(factor, power))
      const nextFactor = polynomial(next)
      return [next, nextFactor, tf.matMul(nextFactor, q)]
    }) as [tf.Tensor3D, tf.Tensor3D, tf.Tensor3D]
    ;[power, factor, q] = [nextPower, nextFactor, nextQ]
    tf.dispose(before)
  }
  tf.dispose([power, factor])
  return q
}

/** Where the Gram form does fewer multiplications, r ≤ c. */
const gramPays = (rows: number, columns: number): boolean => columns > 1.5 * rows

const portable = (x: tf.Tensor3D, steps: number): tf.Tensor3D => {
  const [, m, n] = x.shape
  const tall = m > n
  const scale = inverseNorm(x)
  if (steps > 0 && gramPays(Math.min(m, n), Math.max(m, n))) {
    const gram: tf.Tensor3D = tf.mul(tf.matMul(x, x, tall, !tall), tf.square(scale))
    const q = iterateOnGram(gram, scale, steps)
    return tall ? tf.matMul(x, q, false, true) : tf.matMul(q, x)
  }
  const turned = (y: tf.Tensor3D) => tf.transpose(y, [0, 2, 1])
  return tall ? turned(iterateDirectly(turned(x), scale, steps)) : iterateDirectly(x, scale, steps)
}

/** Approximately orthogonal matrices with the singular vectors of `x` `[n, rows, columns]`; a zero matrix stays zero. */
export const newtonSchulzBatch = (x: tf.Tensor3D, steps = 5): tf.Tensor3D =>
  tf.tidy(() => {
    const run = steps > 0 ? ownKernels() : undefined
    return run === undefined ? portable(x, steps) : run("ElfNewtonSchulz", [x, tf.tensor1d([steps], "int32")], 1)[0] as tf.Tensor3D
  })

/**
 * The same for one matrix `[rows, columns]`.
 * @source `utils/muon_utils.py`, `_zeropower_via_newtonschulz5_fp32`
 */
export const newtonSchulz = (x: tf.Tensor2D, steps = 5): tf.Tensor2D =>
  tf.tidy(() => tf.squeeze(newtonSchulzBatch(tf.expandDims(x, 0), steps), [0]))
