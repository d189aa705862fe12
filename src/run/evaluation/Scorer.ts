/**
 * The scorer as a service: texts in, their surprisal and entropy out, by the reference's protocol.
 *
 * A text is tokenised anew with the scorer's own vocabulary, cut to 1,024 tokens (or the scorer's context), and ended with
 * EOS where it is shorter than the longest one, which the reference's padding amounts to.
 *
 * @source ELF `src/utils/metrics_utils.py`, `record_generative_perplexity`
 * @since 0.1.0
 */
import { Context, Effect } from "effect"
import { unigram } from "../../metrics/Entropy.ts"
import { type Mask, masks, type Surprisal, surprisal, tokenWeights } from "../../metrics/Perplexity.ts"
import type { BackendError } from "../../model/Backend.ts"
import type { LanguageModel } from "../../model/LanguageModel.ts"
import type { TokenizeError, Tokenizer } from "../../model/Tokenizer.ts"
import { batchesOf, byLength } from "../../streams/lengthBuckets.ts"

/** What a scorer is, for reports. */
export interface ScorerDescription {
  readonly kind: "gpt2" | "kneserNey"
  /** Which one, for people. */
  readonly name: string
  /** Whether it only stands in for the scorer that published figures are made with. */
  readonly standIn: boolean
  /** What its tokens are; perplexity is for each of them, entropy over them. */
  readonly tokens: string
  /** Tells two scorers apart. */
  readonly identity: string
}

/** One text under a scorer. */
export interface Judged {
  /** After the cut. */
  readonly tokens: number
  /** Unigram entropy of its tokens, in nats. */
  readonly entropy: number
  /** Under either mask. */
  readonly surprisal: Readonly<Record<Mask, Surprisal>>
}

export class Scorer extends Context.Service<Scorer, ScorerDescription & {
  /** One result a text, in order; `seen` is told how many more are through. The texts are judged together. */
  readonly judge: (texts: ReadonlyArray<string>, seen?: (count: number) => Effect.Effect<void>) => Effect.Effect<ReadonlyArray<Judged>, BackendError | TokenizeError>
}>()("elf-streams/run/Scorer") {}

/** The reference's cut. */
const longestText = 1024

/** Positions that go through a scorer at once: what a pass holds in memory grows with them. */
const positionsPerBatch = 4096

/** The parts of a scorer. */
export interface ScorerParts {
  readonly description: ScorerDescription
  readonly model: Pick<LanguageModel["Service"], "context" | "losses">
  readonly tokenizer: Tokenizer["Service"]
}

const judged = (row: Int32Array, tokens: Int32Array, losses: ArrayLike<number>, endOfSequenceId: number): Judged => ({
  tokens: tokens.length,
  entropy: unigram(tokens),
  surprisal: Object.fromEntries(masks.map((mask) => [mask, surprisal(losses, tokenWeights(row, endOfSequenceId, mask))])) as Record<Mask, Surprisal>
})

/** Puts a scorer together. */
export const makeScorer = ({ description, model, tokenizer }: ScorerParts): Scorer["Service"] => {
  const { endOfSequenceId } = tokenizer
  return Scorer.of({
    ...description,
    judge: Effect.fnUntraced(function*(texts: ReadonlyArray<string>, seen: (count: number) => Effect.Effect<void> = () => Effect.void) {
      const cut = Math.min(longestText, model.context)
      const tokens = (yield* tokenizer.encodeBatch(texts)).map((ids) => ids.slice(0, cut))
      const longest = tokens.reduce((most, { length }) => Math.max(most, length), 0)
      const rows = tokens.map((ids) => ids.length < longest ? Int32Array.of(...ids, endOfSequenceId) : ids)
      const results: Array<Judged> = Array.from({ length: texts.length })
      for (const batch of batchesOf(byLength(rows.map(({ length }) => length)), Math.max(1, Math.floor(positionsPerBatch / Math.max(1, longest))))) {
        yield* Effect.yieldNow
        const losses = yield* model.losses(batch.map((index) => rows[index]!))
        batch.forEach((index, i) => (results[index] = judged(rows[index]!, tokens[index]!, losses[i]!, endOfSequenceId)))
        yield* seen(batch.length)
      }
      return results
    })
  })
}
