/**
 * The exponential moving average of the weights: what evaluation and sampling use.
 */
import * as tf from "@tensorflow/tfjs-core"
import { ownKernels } from "./backend/ownKernels.ts"
import { ownedTensor } from "./OwnedTensors.ts"
import { makeAll, parameter, type Parameters, replace } from "./Parameters.ts"

/** average ← decay · average + (1 − decay) · parameters, in place. @source `utils/train_utils.py`, `ema_update` */
export const updateAverage = (average: Record<string, tf.Tensor>, parameters: Parameters, decay: number): void => {
  const run = ownKernels()
  for (const name of Object.keys(average)) {
    tf.tidy(() => {
      if (run !== undefined) return void run("ElfAverage", [ownedTensor(average, name), parameter(parameters, name), tf.tensor1d([1 - decay])], 0)
      const previous = parameter(average, name)
      replace(average, name, tf.add(previous, tf.mul(tf.sub(parameter(parameters, name), previous), 1 - decay)))
    })
  }
}

/** A copy of `parameters`: where the average starts. It belongs to the caller. */
export const initialAverage = (parameters: Parameters): Record<string, tf.Tensor> =>
  makeAll(Object.entries(parameters), ([name, value]) => [name, tf.clone(value)])
