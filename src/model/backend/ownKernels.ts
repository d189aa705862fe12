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
  readonly elfKernels?: boolean
  readonly executeMultipleOutputs: (name: string, attributes: ReadonlyArray<never>, inputs: ReadonlyArray<tf.Tensor>, outputs: number) => Array<tf.Tensor>
}

/** How to run the kernels, or nothing where the current engine does not have them. */
export const ownKernels = (): RunKernel | undefined => {
  if (tf.getBackend() !== "tensorflow") return undefined
  const backend = tf.backend() as unknown as TensorFlowBackend
  return backend.elfKernels === true ? (name, inputs, outputs) => backend.executeMultipleOutputs(name, [], inputs, outputs) : undefined
}
