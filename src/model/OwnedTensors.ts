/**
 * Tensors whose memory nobody else sees, so that kernels may change them in place.
 */
import * as tf from "@tensorflow/tfjs-core"
import { ownKernels } from "./backend/ownKernels.ts"
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

/** Says that nobody else sees the memory of `tensor`: what an operation made, and no upload, clone or view. */
export const asOwned = <T extends tf.Tensor>(tensor: T): T => {
  owned.add(tensor)
  return tensor
}

/**
 * Gives each tensor memory of its own now, where kernels will change them in place. What lives as long as a training state then
 * lies together, and does not take the places of gradients one by one, which leaves holes where nothing fits.
 */
export const ownAll = (tensors: Record<string, tf.Tensor>): void => {
  if (ownKernels() !== undefined) for (const name of Object.keys(tensors)) tf.tidy(() => void ownedTensor(tensors, name))
}
