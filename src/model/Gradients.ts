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

/**
 * Gradients that leave nothing behind when they fail.
 *
 * **Details** The forward pass keeps tensors for the backward one, beyond every `tidy`; TensorFlow.js releases them only at
 * the end of both. Where memory runs out in between they are released here.
 * @source `@tensorflow/tfjs-core`, `engine.ts`, `gradients`, `runKernelFunc`
 */
const gradientsOf = (scalar: () => tf.Scalar, values: Array<tf.Tensor>) => {
  const engine = tf.engine()
  const kept: Array<tf.Tensor> = []
  const keep = engine.keep.bind(engine)
  engine.keep = (tensor) => {
    kept.push(tensor)
    return keep(tensor)
  }
  try {
    return engine.gradients(scalar, values)
  } catch (error) {
    kept.forEach((tensor) => tensor.dispose())
    throw error
  } finally {
    delete (engine as Partial<typeof engine>).keep
  }
}

/** Evaluates `scalar`, which reads `parameters`, and differentiates it. Synchronous; call it inside a kernel. */
export const valueAndGradients = (parameters: Parameters, scalar: () => tf.Scalar): ValueAndGradients => {
  const names = Object.keys(parameters)
  const values = names.map((name) => parameter(parameters, name))
  const { grads, value } = gradientsOf(scalar, values)
  return {
    value: value.dataSync()[0]!,
    gradients: Object.fromEntries(names.map((name, i) => [name, grads[i] ?? tf.zerosLike(values[i]!)]))
  }
}
