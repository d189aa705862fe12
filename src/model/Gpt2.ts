/**
 * GPT-2 of any size: the causal language model that judges generated texts.
 *
 * Notable: logits are taken for a few hundred positions at a time and only the losses leave a chunk. Traded: it is for
 * scoring whole texts at once; nothing is kept to go on from.
 */
import * as tf from "@tensorflow/tfjs-core"
import { gelu } from "./Activations.ts"
import { attend, type AttentionShape, joinHeads, maskBias } from "./Attention.ts"
import { sparseSoftmaxCrossEntropy } from "./backend/kernels.ts"
import { parameter, type Parameters } from "./Parameters.ts"

/** Sizes under the names of the usual `config.json`. */
export interface Gpt2Config {
  readonly vocab_size: number
  /** Longest text, in tokens. */
  readonly n_positions: number
  readonly n_embd: number
  readonly n_layer: number
  readonly n_head: number
  /** Width between the two layers of a feed-forward block. */
  readonly n_inner: number
  readonly layer_norm_epsilon: number
}

/** Every parameter's shape under the names of `GPT2Model`; products are `[inputs, outputs]`. @source `transformers`, `GPT2Model` */
export const gpt2Shapes = ({ n_embd, n_inner, n_layer, n_positions, vocab_size }: Gpt2Config): ReadonlyMap<string, ReadonlyArray<number>> => {
  const product = (name: string, inputs: number, outputs: number): Array<[string, ReadonlyArray<number>]> =>
    [[`${name}.weight`, [inputs, outputs]], [`${name}.bias`, [outputs]]]
  const norm = (name: string): Array<[string, ReadonlyArray<number>]> => [[`${name}.weight`, [n_embd]], [`${name}.bias`, [n_embd]]]
  const layer = (index: number) => [
    ...norm(`h.${index}.ln_1`),
    ...product(`h.${index}.attn.c_attn`, n_embd, 3 * n_embd),
    ...product(`h.${index}.attn.c_proj`, n_embd, n_embd),
    ...norm(`h.${index}.ln_2`),
    ...product(`h.${index}.mlp.c_fc`, n_embd, n_inner),
    ...product(`h.${index}.mlp.c_proj`, n_inner, n_embd)
  ]
  return new Map([
    ["wte.weight", [vocab_size, n_embd]],
    ["wpe.weight", [n_positions, n_embd]],
    ...Array.from({ length: n_layer }, (_, index) => layer(index)).flat(),
    ...norm("ln_f")
  ])
}

const product = (parameters: Parameters, name: string, x: tf.Tensor2D): tf.Tensor2D =>
  tf.add(tf.matMul(x, parameter<tf.Tensor2D>(parameters, `${name}.weight`)), parameter(parameters, `${name}.bias`))

const layerNorm = (parameters: Parameters, name: string, x: tf.Tensor2D, epsilon: number): tf.Tensor2D => {
  const centred = tf.sub(x, tf.mean(x, -1, true))
  const inverse = tf.rsqrt(tf.add(tf.mean(tf.square(centred), -1, true), epsilon))
  return tf.add(tf.mul(tf.mul(centred, inverse), parameter(parameters, `${name}.weight`)), parameter(parameters, `${name}.bias`)) as tf.Tensor2D
}

/** 0 for a key that a query may see, itself and those before it. `[1, 1, S, S]` */
const causalBias = (length: number): tf.Tensor => {
  const visible = new Float32Array(length * length)
  for (let query = 0; query < length; query++) visible.fill(1, query * length, query * length + query + 1)
  return maskBias(tf.tensor4d(visible, [1, 1, length, length]))
}

const attention = (parameters: Parameters, name: string, x: tf.Tensor2D, { batch, heads, positions }: AttentionShape, bias: tf.Tensor): tf.Tensor2D => {
  const width = x.shape[1] / heads
  const grouped = tf.reshape(product(parameters, `${name}.c_attn`, x), [batch, positions, 3, heads, width])
  const [query, key, value] = tf.unstack(tf.transpose(grouped, [2, 0, 3, 1, 4]), 0) as [tf.Tensor4D, tf.Tensor4D, tf.Tensor4D]
  return product(parameters, `${name}.c_proj`, joinHeads(attend(tf.mul(query, 1 / Math.sqrt(width)), key, value, bias)))
}

const embedded = (parameters: Parameters, ids: tf.Tensor2D): tf.Tensor2D => {
  const [batch, positions] = ids.shape
  const tokens = tf.gather(parameter<tf.Tensor2D>(parameters, "wte.weight"), tf.reshape(ids, [-1]))
  const places = tf.slice(parameter<tf.Tensor2D>(parameters, "wpe.weight"), [0, 0], [positions, -1])
  return tf.add(tokens, tf.tile(places, [batch, 1])) as tf.Tensor2D
}

/** The last hidden states, normalised, for `ids` `[B, S]` int32. → `[B·S, n_embd]` @source `transformers`, `GPT2Model.forward` */
const hiddenStates = (parameters: Parameters, config: Gpt2Config, ids: tf.Tensor2D): tf.Tensor2D => {
  const [batch, positions] = ids.shape
  const shape = { batch, positions, heads: config.n_head }
  const bias = causalBias(positions)
  const norm = (name: string, x: tf.Tensor2D) => layerNorm(parameters, name, x, config.layer_norm_epsilon)
  let x = embedded(parameters, ids)
  for (let index = 0; index < config.n_layer; index++) {
    const input = x
    x = tf.tidy(() => {
      const attended = tf.add(input, attention(parameters, `h.${index}.attn`, norm(`h.${index}.ln_1`, input), shape, bias)) as tf.Tensor2D
      const inner = gelu(product(parameters, `h.${index}.mlp.c_fc`, norm(`h.${index}.ln_2`, attended)))
      return tf.add(attended, product(parameters, `h.${index}.mlp.c_proj`, inner))
    })
    input.dispose()
  }
  return norm("ln_f", x)
}

const positionsPerChunk = 256

/**
 * −ln p of `targets` in nats, each given the ids of its row up to its own position: `ids` and `targets` `[B, S]` int32,
 * S ≤ `n_positions`. → `[B·S]`
 *
 * **Details** No position sees a later one, so what fills a row up at its end changes nothing before it.
 * @source ELF `src/utils/metrics_utils.py`, `_compute_batch_nlls`
 */
export const targetLosses = (parameters: Parameters, config: Gpt2Config, ids: tf.Tensor2D, targets: tf.Tensor2D): tf.Tensor1D => {
  const states = tf.tidy(() => hiddenStates(parameters, config, ids))
  const wanted = tf.reshape(targets, [-1]) as tf.Tensor1D
  const parts: Array<tf.Tensor1D> = []
  for (let begin = 0; begin < states.shape[0]; begin += positionsPerChunk) {
    const length = Math.min(positionsPerChunk, states.shape[0] - begin)
    parts.push(tf.tidy(() => {
      const logits = tf.matMul(tf.slice(states, [begin, 0], [length, -1]), parameter<tf.Tensor2D>(parameters, "wte.weight"), false, true) as tf.Tensor2D
      return sparseSoftmaxCrossEntropy(logits, tf.slice(wanted, [begin], [length])).losses
    }))
  }
  return tf.concat(parts, 0) as tf.Tensor1D
}
