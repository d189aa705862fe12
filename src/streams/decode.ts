/**
 * Latents → token ids → text: the network's decoder mode at t = 1.
 */
import * as tf from "@tensorflow/tfjs-core"
import { Effect, Stream } from "effect"
import { Backend, type BackendError } from "../model/Backend.ts"
import { mostLikelyTokens, type Unembedding } from "../model/CrossEntropy.ts"
import { decoderHead, type Elf, trunk } from "../model/Elf.ts"
import { Network } from "../model/Network.ts"
import { parameter } from "../model/Parameters.ts"
import { type TokenizeError, Tokenizer } from "../model/Tokenizer.ts"
import type { Sampled } from "./sample.ts"
import type { Stage } from "./Stage.ts"
import { padAfterEndOfSequence, shiftLeft } from "./trim.ts"

/** How latents are read. */
export interface DecodeOptions {
  /** w of the decoder's pass: the sampler's. Default 1. */
  readonly selfConditionScale?: number
  /** Default: the network's process. */
  readonly selfConditioning?: boolean
  /** Which latents: the sampler's state, or its current prediction (what `--stream` shows). Default "z". */
  readonly from?: "z" | "prediction"
  /** Token ids that are never chosen, such as EOS where the length of the text is given. */
  readonly without?: ReadonlyArray<number>
}

/** A sampler's state with the tokens that it stands for. */
export interface Decoded extends Sampled {
  /** `[B]` rows of S token ids, untrimmed. */
  readonly ids: ReadonlyArray<Int32Array>
}

const split = (ids: Int32Array, length: number): ReadonlyArray<Int32Array> =>
  Array.from({ length: ids.length / length }, (_, row) => ids.slice(row * length, (row + 1) * length))

/** Below any logit, and no infinity: sums with it stay numbers. */
const never = -1e30

/** The unembedding in which the tokens of `without` have the lowest of all logits. */
const unembeddingOf = ({ config, parameters }: Elf, without: ReadonlyArray<number>): Unembedding => {
  const kernel = parameter<tf.Tensor2D>(parameters, "unembed_kernel")
  const bias = parameter<tf.Tensor1D>(parameters, "unembed_bias")
  if (without.length === 0) return { kernel, bias }
  const barred = new Float32Array(config.vocabulary)
  for (const id of without) barred[id] = never
  return { kernel, bias: tf.add(bias, tf.tensor1d(barred)) }
}

/** @source `generation_utils.py`, `_dlm_decode_batch` */
const decodeLatents = (elf: Elf, latents: Float32Array, shape: Sampled["shape"], options: DecodeOptions): Int32Array => {
  const { selfConditioning = true, selfConditionScale: scale = 1, without = [] } = options
  const z = tf.tensor3d(latents, [...shape])
  const ones = tf.ones([shape[0]]) as tf.Tensor1D
  const stream = tf.tidy(() => trunk(elf, {
    z,
    t: ones,
    decoderGate: ones,
    ...(selfConditioning ? { selfCondition: tf.zerosLike(z) } : {}),
    ...(elf.config.selfConditionScaleTokens > 0 ? { selfConditionScale: tf.mul(ones, scale) as tf.Tensor1D } : {})
  }))
  return mostLikelyTokens(decoderHead(elf, stream), unembeddingOf(elf, without)).dataSync() as Int32Array
}

/** The most likely token at every position of a state, `[B]` rows of S ids. */
export const tokensOf = Effect.fnUntraced(function*(sampled: Pick<Sampled, "z" | "prediction" | "shape">, options: DecodeOptions) {
  yield* Effect.yieldNow
  const backend = yield* Backend
  const { elf, process: { selfConditioning } } = yield* Network
  const latents = sampled[options.from ?? "z"]
  const ids = yield* backend.kernel("decode", () => decodeLatents(elf, latents, sampled.shape, { selfConditioning, ...options }))
  return split(ids, sampled.shape[1])
})

/** Adds the most likely token at every position. The self-conditioning half is zero, at the condition too. */
export const decode = (options: DecodeOptions = {}): Stage<Sampled, Decoded, BackendError, Backend | Network> =>
  Stream.mapEffect((sampled: Sampled) => Effect.map(tokensOf(sampled, options), (ids) => ({ ...sampled, ids })))

/** How decoded rows become answers. */
export interface TrimOptions {
  /** Condition length of each row `[B]`; its tokens are cut off. */
  readonly conditionLengths?: ReadonlyArray<number>
  /** Longest answer in tokens; absent: all positions after the condition. */
  readonly maximumLength?: number
  readonly endOfSequenceId: number
  readonly padId: number
}

/**
 * The answer's tokens: without the condition, cut to the maximum, and without EOS and what follows it.
 * @source `generation.py`, `shift_left`; `generation_utils.py`, `mask_after_eos`
 */
export const trimAnswer = (ids: Int32Array, row: number, options: TrimOptions): Int32Array => {
  const shifted = shiftLeft(ids, options.conditionLengths?.[row] ?? 0, options.padId)
  return padAfterEndOfSequence(shifted.subarray(0, options.maximumLength ?? shifted.length), options.endOfSequenceId, options.padId)
}

/** A decoded state with its texts. */
export interface Texts extends Decoded {
  /** `[B]` */
  readonly texts: ReadonlyArray<string>
}

/** Adds the text of every row; special tokens are left out, so EOS between packed documents shows as nothing. */
export const detokenize: Stage<Decoded, Texts, TokenizeError, Tokenizer> = Stream.mapEffect((decoded: Decoded) =>
  Effect.flatMap(Tokenizer, (tokenizer) =>
    Effect.map(Effect.forEach(decoded.ids, (ids) => tokenizer.decode(ids)), (texts) => ({ ...decoded, texts })))
)
