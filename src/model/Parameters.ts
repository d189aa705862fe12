/**
 * Named tensors: the weights of a network, its moving average, or an optimiser's moments.
 */
import * as tf from "@tensorflow/tfjs-core"

/** Tensors by name. Whoever holds them releases them; `ParameterStore` does so on replacement. */
export interface Parameters {
  readonly [name: string]: tf.Tensor
}

/** The tensor called `name`; throws when it is missing, since a network never runs on part of its weights. */
export const parameter = <T extends tf.Tensor = tf.Tensor>(parameters: Parameters, name: string): T => {
  const found = parameters[name]
  if (found === undefined) throw new Error(`parameter "${name}" is missing`)
  return found as T
}

/** Host values of one tensor. */
export interface HostTensor {
  readonly name: string
  readonly shape: ReadonlyArray<number>
  readonly data: Float32Array
}

/** A tensor for each item, by name; if one of them cannot be made, none is left. The result belongs to the caller. */
export const makeAll = <A>(items: Iterable<A>, make: (item: A) => readonly [name: string, tensor: tf.Tensor]): Record<string, tf.Tensor> => {
  const made: Record<string, tf.Tensor> = {}
  try {
    for (const item of items) {
      const [name, tensor] = make(item)
      made[name] = tf.keep(tensor)
    }
    return made
  } catch (error) {
    dispose(made)
    throw error
  }
}

/** Runs `make`; if it throws, the tensors that were there before are released. */
export const orRelease = <A>(before: ReadonlyArray<Parameters>, make: () => A): A => {
  try {
    return make()
  } catch (error) {
    before.forEach(dispose)
    throw error
  }
}

/** Copies named host values to the device. The result belongs to the caller. */
export const upload = (tensors: Iterable<HostTensor>): Record<string, tf.Tensor> =>
  makeAll(tensors, ({ data, name, shape }) => [name, tf.tensor(data, [...shape], "float32")])

/** Copies device tensors to the host, one after the other, so that only one is held twice at a time. */
export function* download(parameters: Parameters): Generator<HostTensor> {
  for (const [name, tensor] of Object.entries(parameters)) {
    yield { name, shape: tensor.shape, data: tensor.dataSync() as Float32Array }
  }
}

/** Puts `next` in the place of `parameters[name]` and releases what stood there. */
export const replace = (parameters: Record<string, tf.Tensor>, name: string, next: tf.Tensor): void => {
  const previous = parameters[name]
  parameters[name] = tf.keep(next)
  previous?.dispose()
}

/** Releases all tensors. */
export const dispose = (parameters: Parameters): void => {
  for (const tensor of Object.values(parameters)) tensor.dispose()
}
