/**
 * The encoder half of T5, v1.0 (relu) and v1.1 (gated gelu): the frozen embedder whose outputs are ELF's data.
 */
import * as tf from "@tensorflow/tfjs-core"
import { gelu } from "./Activations.ts"
import { attend, type AttentionShape, joinHeads, maskBias, splitHeads } from "./Attention.ts"
import { project } from "./Linear.ts"
import { parameter, type Parameters } from "./Parameters.ts"
import { rmsNorm } from "./RmsNorm.ts"

/** Sizes under the names of the usual `config.json`. */
export interface T5Config {
  readonly vocab_size: number
  readonly d_model: number
  readonly d_kv: number
  readonly d_ff: number
  readonly num_layers: number
  readonly num_heads: number
  readonly relative_attention_num_buckets: number
  readonly relative_attention_max_distance: number
  readonly feed_forward_proj: "relu" | "gated-gelu"
}

/** Every parameter's shape under the names of `T5EncoderModel`. @source `transformers`, `T5EncoderModel` */
export const t5Shapes = (config: T5Config): ReadonlyMap<string, ReadonlyArray<number>> => {
  const { d_ff, d_kv, d_model, num_heads } = config
  const inner = num_heads * d_kv
  const wi = config.feed_forward_proj === "relu" ? ["wi"] : ["wi_0", "wi_1"]
  const layer = (index: number): Array<[string, ReadonlyArray<number>]> => {
    const at = (name: string) => `encoder.block.${index}.layer.${name}`
    return [
      ...["q", "k", "v"].map((part): [string, ReadonlyArray<number>] => [at(`0.SelfAttention.${part}.weight`), [inner, d_model]]),
      [at("0.SelfAttention.o.weight"), [d_model, inner]],
      ...(index === 0
        ? [[at("0.SelfAttention.relative_attention_bias.weight"), [config.relative_attention_num_buckets, num_heads]]] as Array<[string, ReadonlyArray<number>]>
        : []),
      [at("0.layer_norm.weight"), [d_model]],
      ...wi.map((part): [string, ReadonlyArray<number>] => [at(`1.DenseReluDense.${part}.weight`), [d_ff, d_model]]),
      [at("1.DenseReluDense.wo.weight"), [d_model, d_ff]],
      [at("1.layer_norm.weight"), [d_model]]
    ]
  }
  return new Map([
    ["shared.weight", [config.vocab_size, d_model]],
    ...Array.from({ length: config.num_layers }, (_, index) => layer(index)).flat(),
    ["encoder.final_layer_norm.weight", [d_model]]
  ])
}

/**
 * The bucket of a relative position key − query: half of the buckets for each direction, the nearer half of those exact,
 * the rest logarithmic up to `maximumDistance`.
 * @source `transformers`, `T5Attention._relative_position_bucket`
 */
export const relativeBucket = (distance: number, buckets = 32, maximumDistance = 128): number => {
  const half = buckets / 2
  const exact = half / 2
  const offset = distance > 0 ? half : 0
  const magnitude = Math.abs(distance)
  if (magnitude < exact) return offset + magnitude
  const ratio = Math.fround(Math.fround(Math.log(Math.fround(magnitude / exact))) / Math.fround(Math.log(maximumDistance / exact)))
  return offset + Math.min(half - 1, exact + Math.trunc(Math.fround(ratio * (half - exact))))
}

const positionBuckets = (length: number, config: T5Config): Int32Array => {
  const out = new Int32Array(length * length)
  const { relative_attention_max_distance: distance, relative_attention_num_buckets: buckets } = config
  for (let query = 0; query < length; query++) {
    for (let key = 0; key < length; key++) out[query * length + key] = relativeBucket(key - query, buckets, distance)
  }
  return out
}

/** The learned bias of every (head, query, key). `[1, H, S, S]` */
const positionBias = (parameters: Parameters, config: T5Config, length: number): tf.Tensor4D => {
  const table = parameter<tf.Tensor2D>(parameters, "encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight")
  const looked = tf.gather(table, tf.tensor1d(positionBuckets(length, config), "int32"))
  return tf.expandDims(tf.transpose(tf.reshape(looked, [length, length, config.num_heads]), [2, 0, 1]), 0)
}

const attention = (parameters: Parameters, at: string, x: tf.Tensor2D, shape: AttentionShape, bias: tf.Tensor): tf.Tensor2D => {
  const part = (name: string) => splitHeads(project(x, parameter(parameters, `${at}.${name}.weight`)), shape)
  return project(joinHeads(attend(part("q"), part("k"), part("v"), bias)), parameter(parameters, `${at}.o.weight`))
}

const feedForward = (parameters: Parameters, at: string, x: tf.Tensor2D, config: T5Config): tf.Tensor2D => {
  const inner = (name: string) => project(x, parameter(parameters, `${at}.${name}.weight`))
  const activated = config.feed_forward_proj === "relu" ? tf.relu(inner("wi")) : tf.mul(gelu(inner("wi_0")), inner("wi_1"))
  return project(activated as tf.Tensor2D, parameter(parameters, `${at}.wo.weight`))
}

/** Which keys each query sees, 1 = sees: `[B, S]` for all queries alike, or `[B, S, S]`. */
export type EncoderMask = tf.Tensor2D | tf.Tensor3D

const withMask = (bias: tf.Tensor4D, mask: EncoderMask | undefined): tf.Tensor => {
  if (mask === undefined) return bias
  return tf.add(bias, tf.expandDims(maskBias(mask.rank === 2 ? tf.expandDims(mask, 1) : mask), 1))
}

/**
 * Contextual embeddings of `ids` `[B, S]` int32. → `[B, S, d_model]`
 *
 * Attention is not scaled by 1/√d, and the position bias of the first block serves all: both as in T5.
 * @source `transformers`, `T5Stack.forward`
 */
export const encode = (parameters: Parameters, config: T5Config, ids: tf.Tensor2D, mask?: EncoderMask): tf.Tensor3D => {
  const [batch, positions] = ids.shape
  const shape = { batch, positions, heads: config.num_heads }
  const bias = withMask(positionBias(parameters, config, positions), mask)
  const norm = (name: string, x: tf.Tensor2D) => rmsNorm(x, parameter(parameters, `${name}.weight`))
  let x = tf.gather(parameter<tf.Tensor2D>(parameters, "shared.weight"), tf.reshape(ids, [-1])) as tf.Tensor2D
  for (let index = 0; index < config.num_layers; index++) {
    const at = `encoder.block.${index}.layer`
    const input = x
    x = tf.tidy(() => {
      const attended = tf.add(input, attention(parameters, `${at}.0.SelfAttention`, norm(`${at}.0.layer_norm`, input), shape, bias)) as tf.Tensor2D
      return tf.add(attended, feedForward(parameters, `${at}.1.DenseReluDense`, norm(`${at}.1.layer_norm`, attended), config))
    })
  }
  return tf.reshape(norm("encoder.final_layer_norm", x), [batch, positions, config.d_model])
}
