/**
 * Tensors whose memory nobody else sees, so that kernels may change them in place.
 */
import * as tf from "@tensorflow/tfjs-core"
import { parameter, replace } from "./Parameters.ts"

/** Uploaded tensors share their memory with the host's arrays, and clones with each other: only copies made here are owned. */
const owned = new WeakSet<tf.Tensor>()

/**
 * `tensors[name]` with memory of its own; the first time it is asked for, a copy takes its place.
 *
 * **Gotchas** A clone or a reshaped view of the result changes with it.
 */
export const ownedTensor = (tensors: Record<string, tf.Tensor>, name: string): tf.Tensor => {
  const present = parameter(tensors, name)
  if (owned.has(present)) return present
  replace(tensors, name, tf.add(present, 0))
  const copy = parameter(tensors, name)
  owned.add(copy)
  return copy
}
