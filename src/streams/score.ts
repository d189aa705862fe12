/**
 * Texts → how well the network denoises them: the training loss of a single row.
 */
import { Effect, Stream } from "effect"
import { requireArgument } from "../flow/errors.ts"
import { type Seeded, sourceOf } from "../flow/Random.ts"
import { Backend } from "../model/Backend.ts"
import type { EmbedError, Encoder } from "../model/Encoder.ts"
import { rowsAtOnce } from "../model/KernelBatch.ts"
import { Network } from "../model/Network.ts"
import { rowDenoiserLosses } from "../model/RowLosses.ts"
import { type TokenizeError, Tokenizer } from "../model/Tokenizer.ts"
import { collate } from "./batch.ts"
import { corrupt, type CorruptionOptions } from "./corrupt.ts"
import { latentsOf } from "./embed.ts"
import { batchesOf } from "./lengthBuckets.ts"
import { selfCondition, type SelfConditionedBatch } from "./selfCondition.ts"
import type { EmbeddedSequence, LabelledSequence } from "./Sequence.ts"
import type { Stage } from "./Stage.ts"
import { idsOf, type TextOrIds } from "./tokenize.ts"
import { byWindow } from "./windows.ts"

/** At which noise a text is scored. */
export interface ScoreOptions extends Pick<CorruptionOptions, "timeDistribution" | "noiseScale" | "timeEpsilon"> {
  /** Noise levels that a text's loss is the mean of. Default 4. */
  readonly draws?: number
  /** Rows (texts × draws) that go through the network at once; changes no loss. Default 16. */
  readonly batchSize?: number
}

/** A text with the keys of its draws, one for each. */
export interface ScoredText<P extends TextOrIds = string> {
  readonly text: P
  readonly keys: ReadonlyArray<number>
}

/** A text's score. */
export interface Scored<P extends TextOrIds = string> {
  /** Position in the stream, from 0. */
  readonly index: number
  readonly text: P
  /** Mean squared velocity error a token, over all draws. */
  readonly denoiserLoss: number
  /** Tokens of the text that were scored. */
  readonly tokens: number
}

const rowOf = (all: Int32Array, length: number, padId: number): LabelledSequence => {
  const text = all.subarray(0, length)
  const ids = new Int32Array(length).fill(padId)
  ids.set(text)
  return { ids, length: text.length, conditionLength: 0, index: 0, labelDropped: false }
}

/** No decoder rows, no first prediction, no guidance: the plain denoiser. */
const plain = (options: ScoreOptions & Seeded, { elf, process }: Network["Service"]): CorruptionOptions & Seeded => ({
  ...options,
  source: sourceOf(options),
  decoderProbability: 0,
  decoderNoiseScale: 0,
  decoderTime: options.timeDistribution,
  selfConditionProbability: process.selfConditioning ? 1 : 0,
  selfConditionScale: elf.config.selfConditionScaleTokens > 0 ? { minimum: 1, maximum: 1 } : undefined,
  padding: "pad"
})

const lossesOf = (rows: ReadonlyArray<EmbeddedSequence>, options: ScoreOptions & Seeded) =>
  Effect.gen(function*() {
    const backend = yield* Backend
    const network = yield* Network
    const [batch] = yield* Stream.make(collate(rows)).pipe(
      corrupt(plain(options, network)),
      Stream.map((corrupted) => ({ ...corrupted, usesSelfCondition: new Uint8Array(rows.length) })),
      selfCondition,
      Stream.runCollect
    )
    return yield* backend.kernel("score", () => rowDenoiserLosses(network.elf, batch as SelfConditionedBatch, options.timeEpsilon), rowsAtOnce(rows.length, network.elf.config.length))
  })

/** The rows of a text: the same latents for each of its draws. */
const embeddedRows = Effect.fnUntraced(function*(texts: ReadonlyArray<ScoredText<TextOrIds>>, ids: ReadonlyArray<Int32Array>, padId: number) {
  const { length, textWidth } = (yield* Network).elf.config
  const rows = ids.map((all) => rowOf(all, length, padId))
  const latents = yield* latentsOf(rows)
  const size = length * textWidth
  return texts.flatMap(({ keys }, i) =>
    keys.map((index): EmbeddedSequence => ({ ...rows[i]!, index, latents: latents.subarray(i * size, (i + 1) * size) })))
})

const scoreBatch = Effect.fnUntraced(function*<P extends TextOrIds>(texts: ReadonlyArray<ScoredText<P>>, first: number, options: ScoreOptions & Seeded) {
  yield* Effect.yieldNow
  const tokenizer = yield* Tokenizer
  const ids = yield* idsOf(texts.map(({ text }) => text))
  const rows = yield* embeddedRows(texts, ids, tokenizer.padId)
  const losses = yield* lossesOf(rows, options)
  let from = 0
  return texts.map(({ keys, text }, i): Scored<P> => {
    const own = losses.subarray(from, from += keys.length)
    return { index: first + i, text, denoiserLoss: own.reduce((sum, loss) => sum + loss, 0) / keys.length, tokens: rows[from - 1]!.length }
  })
})

/** Scores a window of texts, in order; each has at least one key. `seen` is told of each batch. */
export const scoreWindow = Effect.fnUntraced(function*<P extends TextOrIds>(
  texts: ReadonlyArray<ScoredText<P>>,
  first: number,
  options: ScoreOptions & Seeded,
  seen: (scored: ReadonlyArray<Scored<P>>) => Effect.Effect<void> = () => Effect.void
) {
  const { batchSize = 16, draws = 4 } = options
  const out: Array<Scored<P>> = []
  for (const batch of batchesOf(texts, Math.max(1, Math.floor(batchSize / draws)))) {
    const scored = yield* scoreBatch(batch, first + out.length, options)
    out.push(...scored)
    yield* seen(scored)
  }
  return out
})

/**
 * The denoiser's loss of each text, cut to the network's length; padding does not count.
 *
 * **Details** Draws: purposes "time" and "denoiserNoise", index `draws` × index of the text + number of the draw. The
 * network makes no first prediction and there is no guidance, so a loss depends on the text and its draws alone.
 */
export const score = <P extends TextOrIds = string>(options: ScoreOptions & Seeded): Stage<P, Scored<P>, EmbedError | TokenizeError, Backend | Encoder | Network | Tokenizer> => {
  const { batchSize = 16, draws = 4 } = options
  requireArgument(Number.isSafeInteger(draws) && draws >= 1, "score.draws", "an integer ≥ 1", draws)
  requireArgument(Number.isSafeInteger(batchSize) && batchSize >= 1, "score.batchSize", "an integer ≥ 1", batchSize)
  const keyed = (text: P, index: number): ScoredText<P> => ({ text, keys: Array.from({ length: draws }, (_, draw) => index * draws + draw) })
  return byWindow(batchSize, (texts: ReadonlyArray<P>, first) => scoreWindow(texts.map((text, i) => keyed(text, first + i)), first, options))
}
