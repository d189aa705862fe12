/**
 * Texts → their latents: the frozen encoder alone, for who wants embeddings.
 */
import { Effect } from "effect"
import { requireArgument } from "../flow/errors.ts"
import { type EmbedError, Encoder } from "../model/Encoder.ts"
import { type TokenizeError, Tokenizer } from "../model/Tokenizer.ts"
import { conditionLatents, encodedPositions } from "./conditionLatents.ts"
import { batchesOf, byLength } from "./lengthBuckets.ts"
import type { Stage } from "./Stage.ts"
import { idsOf, type TextOrIds } from "./tokenize.ts"
import { byWindow } from "./windows.ts"

/** How texts are encoded. */
export interface EncodeOptions {
  /** Longest text, in tokens; what is over it is cut off. */
  readonly length: number
  /** Texts that go through the encoder at once; changes no latent. Default 16. */
  readonly batchSize?: number
  /** The latents of every token, or their mean over the tokens. Default `"none"`. */
  readonly pool?: "none" | "mean"
  /** Texts among which those of like length are batched. Default: `batchSize`. */
  readonly window?: number
}

/** A text and its latents. */
export interface Encoded<P extends TextOrIds = string> {
  /** Position in the stream, from 0. */
  readonly index: number
  readonly text: P
  /** `[T, D]` for T tokens; `[D]` with `pool: "mean"`, zeros for a text without tokens. */
  readonly latents: Float32Array
  /** T, after the cut. */
  readonly tokens: number
  /** Positions that the encoder was given for them, padding included. */
  readonly positions: number
}

const mean = (latents: Float32Array, width: number): Float32Array => {
  const sums = new Float64Array(width)
  for (let i = 0; i < latents.length; i++) sums[i % width]! += latents[i]!
  const tokens = Math.max(1, latents.length / width)
  return Float32Array.from(sums, (sum) => sum / tokens)
}

/** Encodes a window of texts, in order; `seen` is told of each batch. `first` is the index of the first one. */
export const encodeWindow = Effect.fnUntraced(function*<P extends TextOrIds>(
  texts: ReadonlyArray<P>,
  first: number,
  options: EncodeOptions,
  seen: (encoded: ReadonlyArray<Encoded<P>>) => Effect.Effect<void> = () => Effect.void
) {
  const tokenizer = yield* Tokenizer
  const { width } = yield* Encoder
  const { batchSize = 16, length, pool = "none" } = options
  const ids = (yield* idsOf(texts)).map((all) => all.slice(0, length))
  const out: Array<Encoded<P>> = Array.from({ length: texts.length })
  for (const positions of batchesOf(byLength(ids.map((tokens) => tokens.length)), batchSize)) {
    yield* Effect.yieldNow
    const longest = Math.max(1, ...positions.map((i) => ids[i]!.length))
    const latents = yield* conditionLatents(positions.map((i) => ids[i]!), longest, tokenizer.padId, length)
    positions.forEach((position, i) => {
      const tokens = ids[position]!.length
      const own = latents.slice(i * longest * width, (i * longest + tokens) * width)
      out[position] = {
        index: first + position,
        text: texts[position]!,
        latents: pool === "mean" ? mean(own, width) : own,
        tokens,
        positions: encodedPositions(tokens, length)
      }
    })
    yield* seen(positions.map((position) => out[position]!))
  }
  return out
})

/**
 * Adds the normalised latents to each text. The text is all there is to see: no condition, no padding.
 *
 * **Details** Texts of like length go through the encoder together; a text's latents do not depend on the others. With
 * `encode<Int32Array>` texts are given as token ids.
 */
export const encode = <P extends TextOrIds = string>(options: EncodeOptions): Stage<P, Encoded<P>, EmbedError | TokenizeError, Encoder | Tokenizer> => {
  const { batchSize = 16, length, window = batchSize } = options
  requireArgument(Number.isSafeInteger(length) && length >= 1, "encode.length", "an integer ≥ 1", length)
  requireArgument(Number.isSafeInteger(batchSize) && batchSize >= 1, "encode.batchSize", "an integer ≥ 1", batchSize)
  requireArgument(Number.isSafeInteger(window) && window >= 1, "encode.window", "an integer ≥ 1", window)
  return byWindow(window, (texts: ReadonlyArray<P>, first) => encodeWindow(texts, first, options))
}
