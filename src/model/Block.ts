/**
 * One transformer block: attention and feed-forward, each on a normalised copy of the residual stream.
 */
import * as tf from "@tensorflow/tfjs-core"
import { type AttentionShape, selfAttention } from "./Attention.ts"
import { parameter, type Parameters } from "./Parameters.ts"
import { addToStream } from "./Residual.ts"
import { rmsNorm } from "./RmsNorm.ts"
import type { RopeTable } from "./Rope.ts"
import { swiGlu } from "./SwiGlu.ts"

/**
 * x + attention(norm(x)), then x + feedForward(norm(x)). `[B·N, hidden]` → `[B·N, hidden]`
 * @source `modules/model.py`, `ELFBlock`
 */
export const block = (
  parameters: Parameters,
  name: string,
  x: tf.Tensor2D,
  shape: AttentionShape,
  rope: RopeTable,
  bias?: tf.Tensor
): tf.Tensor2D =>
  tf.tidy(() => {
    const norm = (which: string, value: tf.Tensor2D) => rmsNorm(value, parameter(parameters, `${name}.${which}.weight`))
    const add = (layer: string, value: tf.Tensor2D, product: tf.Tensor2D) => addToStream(value, product, parameter(parameters, `${name}.${layer}.bias`))
    const attended = add("attn.proj", x, selfAttention(parameters, `${name}.attn`, norm("norm1", x), shape, rope, bias))
    return add("mlp.w3", attended, swiGlu(parameters, `${name}.mlp`, norm("norm2", attended)))
  })
