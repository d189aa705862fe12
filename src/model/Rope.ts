/**
 * Rotary position embedding over interleaved pairs of channels.
 */
import * as tf from "@tensorflow/tfjs-core"

/** Rotation tables of all positions. Constants: built once a configuration, kept as long as the model. */
export interface RopeTable {
  /** `[N, headSize]` */
  readonly cos: tf.Tensor2D
  /** `[N, headSize]` */
  readonly sin: tf.Tensor2D
  /** x · quarterTurn maps each pair (a, b) to (−b, a). `[headSize, headSize]` */
  readonly quarterTurn: tf.Tensor2D
}

/** Sizes of a rotation table. */
export interface RopeOptions {
  readonly headSize: number
  /** Leading positions that are not rotated: the control tokens. */
  readonly prefix: number
  /** Text positions; the first one after the prefix has position 0. */
  readonly length: number
  readonly theta?: number
}

const angles = ({ headSize, length, prefix, theta = 10_000 }: RopeOptions): Float32Array => {
  const table = new Float32Array((prefix + length) * headSize)
  for (let position = 0; position < length; position++) {
    for (let channel = 0; channel < headSize; channel++) {
      const pair = 2 * Math.floor(channel / 2)
      const frequency = Math.fround(1 / Math.fround(theta ** Math.fround(pair / headSize)))
      table[(prefix + position) * headSize + channel] = position * frequency
    }
  }
  return table
}

const quarterTurn = (headSize: number): Float32Array => {
  const matrix = new Float32Array(headSize * headSize)
  for (let even = 0; even < headSize; even += 2) {
    matrix[(even + 1) * headSize + even] = -1
    matrix[even * headSize + even + 1] = 1
  }
  return matrix
}

/** Builds the tables; the result belongs to the caller. @source `modules/layers.py`, `TextRotaryEmbeddingFast` */
export const ropeTable = (options: RopeOptions): RopeTable => {
  const { headSize, length, prefix } = options
  const turned = angles(options)
  return {
    cos: tf.tensor2d(turned.map(Math.cos), [prefix + length, headSize]),
    sin: tf.tensor2d(turned.map(Math.sin), [prefix + length, headSize]),
    quarterTurn: tf.tensor2d(quarterTurn(headSize), [headSize, headSize])
  }
}

const turn = (x: tf.Tensor, matrix: tf.Tensor2D, back: boolean): tf.Tensor =>
  tf.reshape(tf.matMul(tf.reshape(x, [-1, matrix.shape[0]]), matrix, false, back), x.shape)

/**
 * x · cos + turn(x) · sin for `x` `[B, H, N, headSize]`. Its gradient is the rotation backwards.
 * @source `modules/layers.py`, `TextRotaryEmbeddingFast.forward`
 */
export const rotate = (table: RopeTable, x: tf.Tensor4D): tf.Tensor4D =>
  tf.customGrad((input) => ({
    value: tf.add(tf.mul(input as tf.Tensor, table.cos), tf.mul(turn(input as tf.Tensor, table.quarterTurn, false), table.sin)),
    gradFunc: (dy: tf.Tensor) => tf.add(tf.mul(dy, table.cos), turn(tf.mul(dy, table.sin), table.quarterTurn, true))
  }))(x) as tf.Tensor4D
