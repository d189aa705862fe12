/**
 * The kernels of this library for libtensorflow on a CPU: one pass over memory where TensorFlow's own take several.
 *
 * They lie in `engine/native`; each has a portable form beside its use, which the other engines and GPUs run.
 */
import * as tf from "@tensorflow/tfjs-core"

/** Runs one of the kernels on tensors of this engine. */
export type RunKernel = (name: `Elf${string}`, inputs: ReadonlyArray<tf.Tensor>, outputs: number) => Array<tf.Tensor>

/** The part of tfjs-node's backend that runs any operation by name; `elfKernels` is set where the kernels are registered. */
interface TensorFlowBackend {
  elfKernels?: boolean
  readonly executeMultipleOutputs: (name: string, attributes: ReadonlyArray<never>, inputs: ReadonlyArray<tf.Tensor>, outputs: number) => Array<tf.Tensor>
}

const native = (): TensorFlowBackend | undefined =>
  tf.getBackend() === "tensorflow" ? tf.backend() as unknown as TensorFlowBackend : undefined

/** How to run the kernels, or nothing where the current engine does not have them. */
export const ownKernels = (): RunKernel | undefined => {
  const backend = native()
  return backend?.elfKernels === true ? (name, inputs, outputs) => backend.executeMultipleOutputs(name, [], inputs, outputs) : undefined
}

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
