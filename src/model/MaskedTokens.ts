/**
 * Masked-token prediction: the objective that pre-trains a small T5 encoder, with its own embedding as the classifier.
 */
import * as tf from "@tensorflow/tfjs-core"
import type { RandomSource } from "../flow/Random.ts"
import { crossEntropy, tokenLosses } from "./CrossEntropy.ts"
import { valueAndGradients, type ValueAndGradients } from "./Gradients.ts"
import { parameter, type Parameters } from "./Parameters.ts"
import { encode, type T5Config } from "./T5Encoder.ts"

/** Which tokens are hidden, and by what. */
export interface MaskingOptions {
  /** Share of tokens to predict. Of those four fifths are hidden, a tenth is replaced and a tenth left as it is. */
  readonly probability: number
  readonly maskId: number
  /** Replacements are drawn from ids below this. */
  readonly vocabulary: number
}

/** A row to predict from, and which positions to predict. */
export interface MaskedRow {
  /** `[S]` */
  readonly ids: Int32Array
  readonly positions: ReadonlyArray<number>
}

const corruptedId = (id: number, choice: number, replacement: number, { maskId, vocabulary }: MaskingOptions): number => {
  if (choice < 0.8) return maskId
  return choice < 0.9 ? Math.floor(replacement * vocabulary) : id
}

/** A row of which tokens are to be hidden. */
export interface MaskableRow {
  /** `[S]` */
  readonly ids: Int32Array
  /** Valid tokens; padding behind them is never predicted. */
  readonly length: number
  /** The key of the row's draws. */
  readonly index: number
}

/** Hides tokens of one row by draws of its `index`. */
export const maskTokens = (options: MaskingOptions, source: RandomSource, { ids, index, length }: MaskableRow): MaskedRow => {
  const draw = source.uniform({ purpose: "maskedTokens", index }, 3 * ids.length)
  const positions = Array.from({ length }, (_, position) => position).filter((position) => draw[3 * position]! < options.probability)
  const corrupted = ids.slice()
  for (const position of positions) {
    corrupted[position] = corruptedId(ids[position]!, draw[3 * position + 1]!, draw[3 * position + 2]!, options)
  }
  return { ids: corrupted, positions }
}

/** B rows as the encoder reads them. */
export interface MaskedBatch {
  readonly size: number
  readonly length: number
  /** `[B, S]` */
  readonly ids: Int32Array
  /** Where to predict, as positions in `[B · S]`. */
  readonly positions: Int32Array
  /** The tokens that stood there. */
  readonly targets: Int32Array
  /** Which keys each query sees, 1 = sees, `[B, S, S]`; absent: all. */
  readonly visible?: Float32Array | undefined
}

/** Masks rows of equal length, padding included. */
export const maskBatch = (
  options: MaskingOptions,
  source: RandomSource,
  rows: ReadonlyArray<MaskableRow>,
  visible?: Float32Array
): MaskedBatch => {
  const length = rows[0]!.ids.length
  const masked = rows.map((row) => maskTokens(options, source, row))
  const ids = new Int32Array(rows.length * length)
  masked.forEach((row, i) => ids.set(row.ids, i * length))
  return {
    size: rows.length,
    length,
    ids,
    positions: Int32Array.from(masked.flatMap((row, i) => row.positions.map((position) => i * length + position))),
    targets: Int32Array.from(masked.flatMap((row, i) => row.positions.map((position) => rows[i]!.ids[position]!))),
    visible
  }
}

const head = (parameters: Parameters, config: T5Config, batch: MaskedBatch) => {
  const { length, size, visible } = batch
  const mask = visible === undefined ? undefined : tf.tensor3d(visible, [size, length, length])
  const latents = encode(parameters, config, tf.tensor2d(batch.ids, [size, length], "int32"), mask)
  const hidden = tf.gather(tf.reshape(latents, [-1, config.d_model]), tf.tensor1d(batch.positions, "int32")) as tf.Tensor2D
  return {
    hidden: tf.mul(hidden, config.d_model ** -0.5) as tf.Tensor2D,
    unembedding: { kernel: tf.transpose(parameter<tf.Tensor2D>(parameters, "shared.weight")), bias: tf.zeros([config.vocab_size]) as tf.Tensor1D }
  }
}

/** Mean cross-entropy in nats of the hidden tokens, with gradients. Synchronous; call it inside a kernel. */
export const maskedTokenGradients = (parameters: Parameters, config: T5Config, batch: MaskedBatch): ValueAndGradients =>
  valueAndGradients(parameters, () => {
    const { hidden, unembedding } = head(parameters, config, batch)
    const count = batch.targets.length
    return crossEntropy(hidden, unembedding, tf.tensor1d(batch.targets, "int32"), tf.fill([count], 1 / count))
  })

/** Mean cross-entropy in nats of the hidden tokens. */
export const maskedTokenLoss = (parameters: Parameters, config: T5Config, batch: MaskedBatch): number =>
  tf.tidy(() => {
    const { hidden, unembedding } = head(parameters, config, batch)
    return tf.mean(tokenLosses(hidden, unembedding, tf.tensor1d(batch.targets, "int32"))).dataSync()[0]!
  })
