/**
 * Products that are known to be symmetric, of which half is computed, and polynomials of them.
 */
import * as tf from "@tensorflow/tfjs-core"
import { ownKernels, type RunKernel } from "./backend/ownKernels.ts"

/** identity·I + matrix·M + product·(the product) */
export interface Combination {
  readonly identity: number
  readonly matrix: number
  readonly product: number
}

/** What Newton–Schulz does with symmetric matrices `[n, r, r]` that commute. */
export interface SymmetricAlgebra {
  /** X·Xᵀ of `x` `[n, r, k]`, or Xᵀ·X of `x` `[n, k, r]` where `tall`; each times its number in `weights` `[n, 1, 1]`. */
  readonly gram: (x: tf.Tensor3D, tall: boolean, weights?: tf.Tensor3D) => tf.Tensor3D
  readonly product: (left: tf.Tensor3D, right: tf.Tensor3D) => tf.Tensor3D
  /** A combination of `x` itself and x². */
  readonly polynomial: (x: tf.Tensor3D, combination: Combination) => tf.Tensor3D
}

const portable: SymmetricAlgebra = {
  gram: (x, tall, weights) => {
    const gram = tf.matMul(x, x, tall, !tall)
    return (weights === undefined ? gram : tf.mul(gram, weights)) as tf.Tensor3D
  },
  product: (left, right) => tf.matMul(left, right),
  polynomial: (x, { identity, matrix, product }) =>
    tf.add(tf.add(tf.mul(x, matrix), tf.mul(tf.matMul(x, x), product)), tf.mul(tf.eye(x.shape[1]), identity))
}

const alone: Combination = { identity: 0, matrix: 0, product: 1 }

const coefficients = ({ identity, matrix, product }: Combination, n: number): tf.Tensor2D =>
  tf.tensor2d(Array.from({ length: n }, () => [identity, matrix, product]))

const native = (run: RunKernel): SymmetricAlgebra => ({
  gram: (x, tall, weights) => {
    const n = x.shape[0]
    const scales = weights === undefined ? coefficients(alone, n) : tf.concat([tf.zeros([n, 2]), tf.reshape(weights, [n, 1])], 1)
    return run(tall ? "ElfSymmetric" : "ElfSymmetricTurned", [x, x, x, scales], 1)[0] as tf.Tensor3D
  },
  product: (left, right) => run("ElfSymmetric", [left, right, left, coefficients(alone, left.shape[0])], 1)[0] as tf.Tensor3D,
  polynomial: (x, combination) => run("ElfSymmetric", [x, x, x, coefficients(combination, x.shape[0])], 1)[0] as tf.Tensor3D
})

/** The algebra of the current engine. */
export const symmetricAlgebra = (): SymmetricAlgebra => {
  const run = ownKernels()
  return run === undefined ? portable : native(run)
}
