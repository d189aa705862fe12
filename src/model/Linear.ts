/**
 * The affine map of a linear layer.
 */
import * as tf from "@tensorflow/tfjs-core"
import { parameter, type Parameters } from "./Parameters.ts"

/** A row a token: `[B, S, C]` → `[B·S, C]` */
export const tokenRows = (x: tf.Tensor3D): tf.Tensor2D => tf.reshape(x, [-1, x.shape[2]])

/** x · weightᵀ for `x` `[rows, inputs]` and `weight` `[outputs, inputs]`; the transpose is a flag, not a copy. */
export const project = (x: tf.Tensor2D, weight: tf.Tensor2D): tf.Tensor2D => tf.matMul(x, weight, false, true)

/** x · weightᵀ + bias with the parameters `name.weight` and `name.bias`. `[rows, inputs]` → `[rows, outputs]` */
export const linear = (parameters: Parameters, name: string, x: tf.Tensor2D): tf.Tensor2D =>
  tf.add(project(x, parameter(parameters, `${name}.weight`)), parameter(parameters, `${name}.bias`))
