/**
 * The optimiser on this library's own kernels: each tensor is read and written once, where it lies.
 *
 * Notable: nothing is allocated but the direction of one matrix a thread, so that an update hardly needs more memory than
 * its tensors have.
 */
import * as tf from "@tensorflow/tfjs-core"
import type { RunKernel } from "./backend/ownKernels.ts"
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

/** Muon on matrices: orthogonal directions of their momenta, each subtracted so many times. */
export const muonInPlace = ({ gradients, moments, parameters, run }: Updated, steps: ReadonlyMap<string, number>, c: MomentumCoefficients): void => {
  const names = [...steps.keys()]
  const coefficients = tf.tensor1d([c.keep, c.add, c.momentumShare, c.gradientShare])
  const values = names.map((name) => ownedTensor(parameters, name))
  const momenta = names.map((name) => ownedTensor(moments, `momentum/${name}`))
  run("ElfMuon", [coefficients, tf.tensor1d([...steps.values()]), ...values, ...momenta, ...names.map((name) => parameter(gradients, name))], 0, { count: names.length })
}

/** Adam, of either kind, on some tensors. */
export const adamInPlace = ({ gradients, moments, parameters, run }: Updated, names: ReadonlyArray<string>, c: AdamCoefficients): void => {
  const coefficients = tf.tensor1d([
    c.meanKeep, c.meanAdd, c.varianceKeep, c.varianceAdd, c.meanShare, c.gradientShare, c.deviationShare, c.valueKeep, c.step
  ])
  const moment = (which: string) => names.map((name) => ownedTensor(moments, `${which}/${name}`))
  const values = names.map((name) => ownedTensor(parameters, name))
  run("ElfAdam", [...values, ...moment("mean"), ...moment("variance"), ...names.map((name) => parameter(gradients, name)), coefficients], 0, { count: names.length })
}
