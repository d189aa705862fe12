/**
 * Reverse-mode gradients with respect to named parameters.
 */
import * as tf from "@tensorflow/tfjs-core"
import { parameter, type Parameters } from "./Parameters.ts"

/** A scalar's value and its gradients by parameter name. */
export interface ValueAndGradients {
  readonly value: number
  /** Zero for a parameter that the scalar does not depend on. They belong to the caller. */
  readonly gradients: Parameters
}

/** Evaluates `scalar`, which reads `parameters`, and differentiates it. Synchronous; call it inside a kernel. */
export const valueAndGradients = (parameters: Parameters, scalar: () => tf.Scalar): ValueAndGradients => {
  const names = Object.keys(parameters)
  const values = names.map((name) => parameter(parameters, name))
  const { grads, value } = tf.engine().gradients(scalar, values)
  return {
    value: value.dataSync()[0]!,
    gradients: Object.fromEntries(names.map((name, i) => [name, grads[i] ?? tf.zerosLike(values[i]!)]))
  }
}
