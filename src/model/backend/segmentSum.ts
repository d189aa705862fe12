/**
 * Sums of rows by segment, the gradient of `gather`, in one pass over the rows.
 *
 * The kernel that TensorFlow.js has in JavaScript goes over all rows once a segment, and WebAssembly has none: with a
 * vocabulary of 32,100 segments neither can be used to train an embedding.
 *
 * @since 0.1.0
 */
import * as tf from "@tensorflow/tfjs-core"

const name = "UnsortedSegmentSum"

type Numbers = Float32Array | Int32Array

/** Adds row i of `rows` `[N, width]` to row `segments[i]` of the result `[count, width]`; segments outside are left out. */
export const segmentSum = (rows: Numbers, segments: Int32Array, count: number, width: number): Numbers => {
  const sums = rows instanceof Int32Array ? new Int32Array(count * width) : new Float32Array(count * width)
  segments.forEach((segment, row) => {
    if (segment < 0 || segment >= count) return
    for (let at = 0; at < width; at++) sums[segment * width + at]! += rows[row * width + at]!
  })
  return sums
}

const kernel: tf.KernelFunc = ({ attrs, backend, inputs }) => {
  const host = backend as tf.KernelBackend
  const { segmentIds, x } = inputs as Record<"segmentIds" | "x", tf.TensorInfo>
  const { numSegments } = attrs as { readonly numSegments: number }
  const row = x.shape.slice(segmentIds.shape.length)
  const shape = [numSegments, ...row]
  const segments = host.readSync(segmentIds.dataId) as Int32Array
  const sums = segmentSum(host.readSync(x.dataId) as Numbers, segments, numSegments, tf.util.sizeFromShape(row))
  return { dataId: host.write(sums, shape, x.dtype), shape, dtype: x.dtype }
}

/** Makes this the kernel of a backend whose tensors lie in this process's memory; safe to call again. */
export const registerSegmentSum = (backendName: string): void => {
  if (tf.getKernel(name, backendName)?.kernelFunc === kernel) return
  if (tf.getKernel(name, backendName) !== undefined) tf.unregisterKernel(name, backendName)
  tf.registerKernel({ kernelName: name, backendName, kernelFunc: kernel })
}
