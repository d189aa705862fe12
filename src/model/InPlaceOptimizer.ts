/**
 * The optimiser on this library's own kernels: each tensor is read and written once, where it lies.
 *
 * Notable: nothing is allocated but the directions of one group of matrices, so that an update neither needs twice the
 * memory nor can run out of it halfway.
 */
import * as tf from "@tensorflow/tfjs-core"
import type { RunKernel } from "./backend/ownKernels.ts"
import { newtonSchulzBatch } from "./NewtonSchulz.ts"
import type { AdamCoefficients, MomentumCoefficients } from "./OptimizerCoefficients.ts"
import { ownedTensor } from "./OwnedTensors.ts"
import { parameter, type Parameters } from "./Parameters.ts"

/** Everything that an update reads and changes. */
export interface Updated {
  readonly run: RunKernel
  readonly parameters: Record<string, tf.Tensor>
  readonly moments: Record<string, tf.Tensor>
  readonly gradients: Parameters
}

/** Muon on matrices of one shape: orthogonal directions of their momenta, subtracted `step` times. */
export const muonInPlace = ({ gradients, moments, parameters, run }: Updated, names: ReadonlyArray<string>, c: MomentumCoefficients, step: number): void => {
  const coefficients = tf.tensor1d([c.keep, c.add, c.momentumShare, c.gradientShare])
  const pairs = names.map((name) => run("ElfMomentum", [ownedTensor(moments, `momentum/${name}`), parameter(gradients, name), coefficients], 2))
  const directions = pairs.map(([direction]) => direction!)
  const stacked = directions.length === 1 ? tf.expandDims(directions[0]!, 0) : tf.stack(directions)
  const orthogonal = newtonSchulzBatch(stacked as tf.Tensor3D, 5, tf.stack(pairs.map(([, squares]) => squares!)))
  const parts = directions.length === 1 ? [orthogonal] : tf.unstack(orthogonal)
  names.forEach((name, i) => run("ElfSubtract", [ownedTensor(parameters, name), parts[i]!, tf.tensor1d([step])], 0))
}

/** Adam, of either kind, on one tensor. */
export const adamInPlace = ({ gradients, moments, parameters, run }: Updated, name: string, c: AdamCoefficients): void => {
  const coefficients = tf.tensor1d([
    c.meanKeep, c.meanAdd, c.varianceKeep, c.varianceAdd, c.meanShare, c.gradientShare, c.deviationShare, c.valueKeep, c.step
  ])
  const moment = (which: string) => ownedTensor(moments, `${which}/${name}`)
  run("ElfAdam", [ownedTensor(parameters, name), moment("mean"), moment("variance"), parameter(gradients, name), coefficients], 0)
}
