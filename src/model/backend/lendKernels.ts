/**
 * Lets one TensorFlow.js backend run the kernels that it lacks with those of another, so that a program runs on both.
 *
 * @since 0.1.0
 */
import * as tf from "@tensorflow/tfjs-core"

/** The backend of the JavaScript kernels: tensors are made in it from values, and released in it. */
interface Lender extends tf.KernelBackend {
  readonly disposeData: (dataId: tf.DataId, force?: boolean) => boolean
}

type Inputs = tf.NamedTensorInfoMap

const isList = (value: unknown): value is Array<tf.TensorInfo> => Array.isArray(value)

/** A copy of a tensor in another backend. */
const copy = (info: tf.TensorInfo, from: tf.KernelBackend, to: tf.KernelBackend): tf.TensorInfo => ({
  dataId: to.write(from.readSync(info.dataId) as tf.BackendValues, info.shape, info.dtype),
  shape: info.shape,
  dtype: info.dtype
})

/** Copies of all inputs, which are named, or a list; one of them can be absent, or a list. */
const copyInputs = <A extends Inputs>(inputs: A, from: tf.KernelBackend, to: tf.KernelBackend): A => {
  const copyOne = (input: tf.TensorInfo | Array<tf.TensorInfo> | undefined) =>
    input == null ? input : isList(input) ? input.map((each) => copy(each, from, to)) : copy(input, from, to)
  return (isList(inputs)
    ? inputs.map(copyOne)
    : Object.fromEntries(Object.entries(inputs).map(([name, input]) => [name, copyOne(input)]))) as A
}

const release = (info: tf.TensorInfo, backend: Lender): void => {
  if (info instanceof tf.Tensor) info.dispose()
  else backend.disposeData(info.dataId, true)
}

/** The lender's kernel as a kernel of the borrower: values go over, the kernel runs there, and results come back. */
const borrowed = (kernel: tf.KernelFunc, lender: () => Lender): tf.KernelFunc => ({ attrs, backend, inputs }) => {
  const borrower = backend as tf.KernelBackend
  const there = lender()
  const copies = copyInputs(inputs, borrower, there)
  const outputs = kernel({ inputs: copies, attrs: attrs as tf.NamedAttrMap, backend: there })
  const lent = isList(outputs) ? outputs : [outputs]
  const results = lent.map((output) => copy(output, there, borrower))
  const inputIds = new Set<tf.DataId>()
  for (const input of Object.values(copies).flat().filter((each) => each != null)) {
    inputIds.add(input.dataId)
    release(input, there)
  }
  for (const output of lent) if (!inputIds.has(output.dataId)) release(output, there)
  return isList(outputs) ? results : results[0]!
}

/**
 * Registers, for every kernel that `lender` has and `borrower` lacks, one that copies the data over and back.
 *
 * @returns the names of the kernels lent
 */
export const lendKernels = (lender: string, borrower: string): ReadonlyArray<string> => {
  const present = new Set(tf.getKernelsForBackend(borrower).map(({ kernelName }) => kernelName))
  const missing = tf.getKernelsForBackend(lender).filter(({ kernelName }) => !present.has(kernelName))
  for (const { kernelFunc, kernelName } of missing) {
    tf.registerKernel({ kernelName, backendName: borrower, kernelFunc: borrowed(kernelFunc, () => tf.findBackend(lender) as Lender) })
  }
  return missing.map(({ kernelName }) => kernelName)
}
