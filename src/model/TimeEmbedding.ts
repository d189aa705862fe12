/**
 * Sinusoidal embedding of a scalar, then two linear layers: how time and self-conditioning scale enter the network.
 */
import * as tf from "@tensorflow/tfjs-core"
import { silu } from "./Activations.ts"
import { linear } from "./Linear.ts"
import { frequencyWidth } from "./ModelConfig.ts"
import { parameter, type Parameters } from "./Parameters.ts"

const maximumPeriod = 10_000

/** exp(−ln(period) · i / half), rounded to fp32 where the reference rounds. `[half]`, half the width. */
export const frequencies = (width: number = frequencyWidth): tf.Tensor1D => {
  const half = Math.floor(width / 2)
  const decay = Math.fround(-Math.log(maximumPeriod))
  return tf.tensor1d(Float32Array.from({ length: half }, (_, i) => Math.exp(Math.fround(Math.fround(decay * i) / half))))
}

/**
 * `[cos | sin]` of t times geometrically spaced frequencies; t is used as it is, not times 1000. An odd width ends in 0.
 * `[B]` → `[B, width]`
 * @source `modules/layers.py`, `TimestepEmbedder.timestep_embedding`
 */
export const sinusoidal = (t: tf.Tensor1D, width: number = frequencyWidth): tf.Tensor2D => {
  const angles = tf.mul(tf.expandDims(t, 1), frequencies(width)) as tf.Tensor2D
  const waves = [tf.cos(angles), tf.sin(angles)]
  return tf.concat(width % 2 === 0 ? waves : [...waves, tf.zeros([t.shape[0], 1])], 1) as tf.Tensor2D
}

/** Weight and bias of an embedder's two layers. */
export const embedderWeights = (parameters: Parameters, name: string): ReadonlyArray<tf.Tensor> =>
  ["mlp_0.weight", "mlp_0.bias", "mlp_2.weight", "mlp_2.bias"].map((part) => parameter(parameters, `${name}.${part}`))

/** Embeds a scalar a row with the layers `name.mlp_0` and `name.mlp_2`. `[B]` → `[B, hidden]` @source `TimestepEmbedder` */
export const timeEmbedding = (parameters: Parameters, name: string, t: tf.Tensor1D): tf.Tensor2D =>
  linear(parameters, `${name}.mlp_2`, silu(linear(parameters, `${name}.mlp_0`, sinusoidal(t))))
