/**
 * Parameters that an optimiser updates together, and how they are joined into one tensor and parted again.
 */
import * as tf from "@tensorflow/tfjs-core"
import { parameter, type Parameters } from "./Parameters.ts"

/** Parameters that are updated together; how they are joined into one tensor and parted again. */
export interface Group {
  readonly names: ReadonlyArray<string>
  readonly join: (tensors: Array<tf.Tensor>) => tf.Tensor
  readonly part: (joined: tf.Tensor) => Array<tf.Tensor>
}

/** The most numbers of a group of several parameters: 8 MB, about what a core's cache holds. */
const largestGroup = 1 << 21

/** Cuts a list so that no part of several has more than `largestGroup` numbers. */
const limited = (names: ReadonlyArray<string>, sizeOf: (name: string) => number): ReadonlyArray<ReadonlyArray<string>> => {
  const parts: Array<Array<string>> = []
  let filled = Infinity
  for (const name of names) {
    const size = sizeOf(name)
    if (filled + size > largestGroup) {
      parts.push([])
      filled = 0
    }
    parts.at(-1)!.push(name)
    filled += size
  }
  return parts
}

const byKey = (names: ReadonlyArray<string>, keyOf: (name: string) => string): ReadonlyArray<ReadonlyArray<string>> => {
  const groups = new Map<string, Array<string>>()
  for (const name of names) groups.set(keyOf(name), [...(groups.get(keyOf(name)) ?? []), name])
  return [...groups.values()]
}

/** Matrices of one shape as `[n, rows, columns]`. */
const stacked = (names: ReadonlyArray<string>): Group => ({
  names,
  join: (tensors) => tf.stack(tensors),
  part: (joined) => tf.unstack(joined)
})

/** Tensors of any shapes as one vector. */
const flattened = (names: ReadonlyArray<string>, parameters: Parameters): Group => {
  const shapes = names.map((name) => parameter(parameters, name).shape)
  const sizes = shapes.map((shape) => shape.reduce((x, y) => x * y, 1))
  return {
    names,
    join: (tensors) => tf.concat(tensors.map((tensor) => tf.reshape(tensor, [-1]))),
    part: (joined) => tf.split(joined, sizes).map((part, i) => tf.reshape(part, shapes[i]!))
  }
}

/** One parameter as it is. */
const alone = (name: string): Group => ({ names: [name], join: ([tensor]) => tensor!, part: (joined) => [joined] })

/** One matrix as a stack of one. */
const stackOfOne = (name: string): Group => ({
  names: [name],
  join: ([tensor]) => tf.expandDims(tensor!, 0),
  part: (joined) => [tf.squeeze(joined, [0])]
})

const sizesOf = (parameters: Parameters) => (name: string): number => parameter(parameters, name).size

/** The names of matrices that have one shape and one `scaleOf`. */
export const alike = (names: ReadonlyArray<string>, parameters: Parameters, scaleOf: (name: string) => number): ReadonlyArray<ReadonlyArray<string>> =>
  byKey(names, (name) => `${parameter(parameters, name).shape}/${scaleOf(name)}`)

/** Matrices of one shape as groups, joined to `[n, rows, columns]`. */
export const stackedGroups = (names: ReadonlyArray<string>, parameters: Parameters): ReadonlyArray<Group> =>
  limited(names, sizesOf(parameters)).map((part) => (part.length === 1 ? stackOfOne(part[0]!) : stacked(part)))

/** Groups of parameters of any shape, joined to one vector each; a large one stays as it is. */
export const mixedGroups = (names: ReadonlyArray<string>, parameters: Parameters): ReadonlyArray<Group> =>
  limited(names, sizesOf(parameters)).map((part) => (part.length === 1 ? alone(part[0]!) : flattened(part, parameters)))
