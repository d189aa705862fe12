/**
 * Products of two matrices by this library's own operation, wherever TensorFlow.js multiplies them on libtensorflow: in
 * layers, in their gradients, in attention, in encoders.
 *
 * Notable: TensorFlow's own waits for weights that come from memory, this one asks for them beforehand; and a row of its
 * result does not depend on the rows beside it. Other types and shapes go to TensorFlow's.
 *
 * @since 0.1.0
 */
import * as tf from "@tensorflow/tfjs-core"
import { ownKernels } from "./ownKernels.ts"

const name = "BatchMatMul"
const backendName = "tensorflow"

interface Attributes {
  readonly transposeA: boolean
  readonly transposeB: boolean
}

const operation = ({ transposeA, transposeB }: Attributes) =>
  transposeA ? "ElfProductTurnedLeft" : transposeB ? "ElfProductTurnedRight" : "ElfProduct"

const areNumbers = ({ dtype, shape }: tf.TensorInfo): boolean => dtype === "float32" && shape.every((length) => length > 0)

/** Whether both are lists of as many matrices. */
const fit = (a: tf.TensorInfo, b: tf.TensorInfo): boolean =>
  areNumbers(a) && areNumbers(b) && a.shape.length === b.shape.length && a.shape.slice(0, -2).every((length, axis) => length === b.shape[axis])

/** The kernel that takes over from `before` where the engine has the operation for such factors. */
const over = (before: tf.KernelFunc): tf.KernelFunc => (call) => {
  const { a, b } = call.inputs as Record<"a" | "b", tf.TensorInfo>
  const attributes = call.attrs as unknown as Attributes
  const run = fit(a, b) && !(attributes.transposeA && attributes.transposeB) ? ownKernels() : undefined
  return run === undefined ? before(call) : run(operation(attributes), [a as tf.Tensor, b as tf.Tensor], 1)[0]!
}

const registered = new WeakSet<tf.KernelFunc>()

/** Makes this the kernel of libtensorflow's backend, which must be registered; safe to call again. */
export const registerProduct = (): void => {
  const before = tf.getKernel(name, backendName)
  if (registered.has(before.kernelFunc)) return
  const kernelFunc = over(before.kernelFunc)
  registered.add(kernelFunc)
  tf.unregisterKernel(name, backendName)
  tf.registerKernel({ ...before, kernelFunc })
}
