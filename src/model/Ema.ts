/**
 * The exponential moving average of the weights: what evaluation and sampling use.
 */
import * as tf from "@tensorflow/tfjs-core"
import { ownKernels } from "./backend/ownKernels.ts"
import { ownedTensor } from "./OwnedTensors.ts"
import { makeAll, parameter, type Parameters, replace } from "./Parameters.ts"

/** average ← decay · average + (1 − decay) · parameters, in place. @source `utils/train_utils.py`, `ema_update` */
export const updateAverage = (average: Record<string, tf.Tensor>, parameters: Parameters, decay: number): void => {
  const names = Object.keys(average)
  const run = names.length > 0 ? ownKernels() : undefined
  tf.tidy(() => {
    if (run !== undefined) {
      const inputs = [...names.map((name) => ownedTensor(average, name)), ...names.map((name) => parameter(parameters, name)), tf.tensor1d([1 - decay])]
      return void run("ElfAverage", inputs, 0, { count: names.length })
    }
    for (const name of names) tf.tidy(() => {
      const previous = parameter(average, name)
      replace(average, name, tf.add(previous, tf.mul(tf.sub(parameter(parameters, name), previous), 1 - decay)))
    })
  })
}

/** A copy of `parameters`: where the average starts. It belongs to the caller. */
export const initialAverage = (parameters: Parameters): Record<string, tf.Tensor> =>
  makeAll(Object.entries(parameters), ([name, value]) => [name, tf.clone(value)])
