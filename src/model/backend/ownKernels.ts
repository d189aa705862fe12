/**
 * The kernels of this library for libtensorflow on a CPU: one pass over memory where TensorFlow's own take several.
 *
 * They lie in `engine/native`; each has a portable form beside its use, which the other engines and GPUs run.
 */
import * as tf from "@tensorflow/tfjs-core"

/** Runs one of the kernels on tensors of this engine; `lists` are the lengths of those of its inputs that are lists. */
export type RunKernel = (name: `Elf${string}`, inputs: ReadonlyArray<tf.Tensor>, outputs: number, lists?: Readonly<Record<string, number>>) => Array<tf.Tensor>

interface Attribute {
  readonly name: string
  readonly type: number
  readonly value: number
}

/** The part of tfjs-node's backend that runs any operation by name; `elfKernels` is set where the kernels are registered. */
interface TensorFlowBackend {
  elfKernels?: boolean
  readonly executeMultipleOutputs: (name: string, attributes: ReadonlyArray<Attribute>, inputs: ReadonlyArray<tf.Tensor>, outputs: number) => Array<tf.Tensor>
  readonly binding: { readonly TF_ATTR_INT: number }
}

const native = (): TensorFlowBackend | undefined =>
  tf.getBackend() === "tensorflow" ? tf.backend() as unknown as TensorFlowBackend : undefined

/** How to run the kernels, or nothing where the current engine does not have them. */
export const ownKernels = (): RunKernel | undefined => {
  const backend = native()
  if (backend?.elfKernels !== true) return undefined
  const type = backend.binding.TF_ATTR_INT
  return (name, inputs, outputs, lists = {}) =>
    backend.executeMultipleOutputs(name, Object.entries(lists).map(([name, value]) => ({ name, type, value })), inputs, outputs)
}

/** How to run kernels that have no gradient: as {@link ownKernels}, and nothing while a gradient is being recorded. */
export const forwardKernels = (): RunKernel | undefined => (tf.engine().isTapeOn() ? undefined : ownKernels())

/** Runs synchronous work with the portable forms alone, whatever the current engine has. */
export const withoutOwnKernels = <A>(run: () => A): A => {
  const backend = native()
  const present = backend?.elfKernels
  if (backend === undefined || present === undefined) return run()
  backend.elfKernels = false
  try {
    return run()
  } finally {
    backend.elfKernels = present
  }
}
