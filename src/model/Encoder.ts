/**
 * The frozen embedder of text as a service: token ids in, normalised latents out.
 */
import * as tf from "@tensorflow/tfjs-core"
import { Context, Effect, Layer } from "effect"
import { Backend, type BackendError } from "./Backend.ts"
import type { OnnxEncoderError } from "./OnnxEncoderError.ts"
import { rowsAtOnce } from "./KernelBatch.ts"
import { dispose, type HostTensor, upload } from "./Parameters.ts"
import { encode, type T5Config } from "./T5Encoder.ts"

/** Rows to embed: host arrays. */
export interface EncoderRows {
  /** B */
  readonly size: number
  /** S */
  readonly length: number
  /** Token ids `[B, S]`. */
  readonly ids: Int32Array
  /** Which key each query sees, 1 = sees, `[B, S, S]`; absent: every token sees every token. */
  readonly mask?: Float32Array | undefined
}

/** Maps latents to mean 0 and deviation 1: (latent − mean) / standardDeviation. @source `encoder_utils.py`, `encode_text` */
export interface LatentNormalization {
  readonly mean: number
  readonly standardDeviation: number
}

/** Everything a T5 encoder consists of, on the host. */
export interface T5Weights {
  readonly config: T5Config
  readonly tensors: ReadonlyArray<HostTensor>
}

/** What keeps rows from being embedded: the device, or an encoder that runs outside of it. */
export type EmbedError = BackendError | OnnxEncoderError

export class Encoder extends Context.Service<Encoder, {
  /** D, channels of a latent. */
  readonly width: number
  /** Token ids lie in [0, vocabulary). */
  readonly vocabulary: number
  /** Normalised contextual embeddings `[B, S, D]`. */
  readonly embed: (rows: EncoderRows) => Effect.Effect<Float32Array, EmbedError>
}>()("elf-streams/model/Encoder") {
  /** A T5 encoder, v1.0 or v1.1; its weights are on the device as long as the layer lives. */
  static readonly layerT5 = (weights: T5Weights, normalization: LatentNormalization): Layer.Layer<Encoder, BackendError, Backend> =>
    Layer.effect(Encoder, makeT5(weights, normalization))
}

const normalized = (latents: tf.Tensor, { mean, standardDeviation }: LatentNormalization): Float32Array =>
  tf.div(tf.sub(latents, mean), standardDeviation).dataSync() as Float32Array

const makeT5 = Effect.fnUntraced(function*({ config, tensors }: T5Weights, normalization: LatentNormalization) {
  const backend = yield* Backend
  const parameters = yield* Effect.acquireRelease(
    backend.kernel("uploadEncoder", () => upload(tensors)),
    (uploaded) => Effect.sync(() => dispose(uploaded))
  )
  return Encoder.of({
    width: config.d_model,
    vocabulary: config.vocab_size,
    embed: ({ ids, length, mask, size }) =>
      backend.kernel("embed", () => {
        const visible = mask === undefined ? undefined : tf.tensor3d(mask, [size, length, length])
        return normalized(encode(parameters, config, tf.tensor2d(ids, [size, length], "int32"), visible), normalization)
      }, rowsAtOnce(size, length))
  })
})
