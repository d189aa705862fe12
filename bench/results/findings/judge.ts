/** Perplexity and entropy of texts, by the judge and the protocol of `elf eval`. */
import { Effect } from "effect"
import { Evaluation } from "../../../src/run/index.ts"
import { corpus, folder } from "./variants.ts"
import { count, type Point, readTexts } from "./write.ts"

/** What texts are judged to be. */
export interface Figures {
  readonly perplexity: number
  readonly entropy: number
}

/** Every point with its figures, and real texts beside them. */
export interface Judged {
  readonly points: ReadonlyArray<Point & Figures>
  readonly heldOut: Figures
}

const column = "text"

const figuresOf = Effect.fnUntraced(function*(texts: ReadonlyArray<string>) {
  const { entropy, perplexity } = yield* Evaluation.scoreTexts(texts, "reference")
  return { perplexity: perplexity ?? Number.NaN, entropy: entropy ?? Number.NaN } satisfies Figures
})

/** Judges the texts of points. */
export const judge = Effect.fnUntraced(function*(points: ReadonlyArray<Point>) {
  const figures = Effect.gen(function*() {
    return {
      points: yield* Effect.forEach(points, (point) => Effect.map(figuresOf(readTexts(point)), (figures) => ({ ...point, ...figures }))),
      heldOut: yield* figuresOf(yield* Evaluation.referenceTexts({ path: corpus("held-out"), column }, 64, 3 * count))
    } satisfies Judged
  })
  return yield* figures.pipe(Effect.provide(Evaluation.openScorer({ corpus: { path: corpus("train"), column }, order: 3, folder })))
})
