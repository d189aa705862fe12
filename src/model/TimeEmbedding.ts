/**
 * Sinusoidal embedding of a scalar, then two linear layers: how time and self-conditioning scale enter the network.
 */
import * as tf from "@tensorflow/tfjs-core"
import { silu } from "./Activations.ts"
import { linear } from "./Linear.ts"
import { frequencyWidth } from "./ModelConfig.ts"
import type { Parameters } from "./Parameters.ts"

/** exp(−ln(period) · i / half), rounded to fp32 where the reference rounds. */
const frequencies = (width: number, maximumPeriod = 10_000): Float32Array => {
  const half = Math.floor(width / 2)
  const decay = Math.fround(-Math.log(maximumPeriod))
  return Float32Array.from({ length: half }, (_, i) => Math.exp(Math.fround(Math.fround(decay * i) / half)))
}

/**
 * `[cos | sin]` of t times geometrically spaced frequencies; t is used as it is, not times 1000. An odd width ends in 0.
 * `[B]` → `[B, width]`
 * @source `modules/layers.py`, `TimestepEmbedder.timestep_embedding`
 */
export const sinusoidal = (t: tf.Tensor1D, width: number = frequencyWidth): tf.Tensor2D => {
  const angles = tf.mul(tf.expandDims(t, 1), tf.tensor1d(frequencies(width))) as tf.Tensor2D
  const waves = [tf.cos(angles), tf.sin(angles)]
  return tf.concat(width % 2 === 0 ? waves : [...waves, tf.zeros([t.shape[0], 1])], 1) as tf.Tensor2D
}

/** Embeds a scalar a row with the layers `name.mlp_0` and `name.mlp_2`. `[B]` → `[B, hidden]` @source `TimestepEmbedder` */
export const timeEmbedding = (parameters: Parameters, name: string, t: tf.Tensor1D): tf.Tensor2D =>
  linear(parameters, `${name}.mlp_2`, silu(linear(parameters, `${name}.mlp_0`, sinusoidal(t))))
