/**
 * The residual stream: what a layer adds to it.
 */
import * as tf from "@tensorflow/tfjs-core"
import { ownKernels, type RunKernel } from "./backend/ownKernels.ts"

const native = (run: RunKernel) => tf.customGrad((x, product, bias) => ({
  value: run("ElfResidual", [x as tf.Tensor, product as tf.Tensor, bias as tf.Tensor], 1)[0]!,
  // Each input's gradient is a tensor of its own: TensorFlow.js releases one as soon as it has added another to it.
  gradFunc: (dy: tf.Tensor) => [tf.clone(dy), tf.clone(dy), run("ElfColumnSum", [dy], 1)[0]!]
}))

/** x + product + bias: a layer's last product joins the stream with its bias. `x`, `product` `[rows, hidden]`, `bias` `[hidden]` */
export const addToStream = (x: tf.Tensor2D, product: tf.Tensor2D, bias: tf.Tensor): tf.Tensor2D => {
  const run = ownKernels()
  return (run === undefined ? tf.add(x, tf.add(product, bias)) : native(run)(x, product, bias)) as tf.Tensor2D
}
