/**
 * From texts to figures.
 *
 * @source ELF `src/utils/metrics_utils.py`; `src/generation.py`, `test_generation_uncond`, `test_generation_cond`
 * @since 0.1.0
 */
import { Effect } from "effect"
import { readFile } from "node:fs/promises"
import { join } from "node:path"
import { writeAtomically } from "../../io/atomicFile.ts"
import type { DiskError } from "../../io/Disk.ts"
import * as Bleu from "../../metrics/Bleu.ts"
import * as Entropy from "../../metrics/Entropy.ts"
import { type Mask, masks, perplexity } from "../../metrics/Perplexity.ts"
import * as Rouge from "../../metrics/Rouge.ts"
import { Tokenizer } from "../../model/Tokenizer.ts"
import { digest } from "./data.ts"
import type { ConditionalFigures, GenerativeFigures } from "./report.ts"
import { type Judged, Scorer } from "./Scorer.ts"

const finite = (value: number): number | null => Number.isFinite(value) ? value : null

const mean = (values: ReadonlyArray<number>): number => values.reduce((a, b) => a + b, 0) / values.length

const isBlank = (text: string): boolean => text.trim() === ""

const summed = (judged: ReadonlyArray<Judged>, empty: number, mask: Mask): GenerativeFigures => {
  const perplexities = Object.fromEntries(masks.map((each) => [each, finite(perplexity(judged.map(({ surprisal }) => surprisal[each])))])) as GenerativeFigures["perplexities"]
  return {
    perplexity: perplexities[mask],
    entropy: finite(mean(judged.map(({ entropy }) => entropy))),
    perplexities,
    texts: judged.length,
    empty,
    tokensPerText: finite(mean(judged.map(({ tokens }) => tokens))) ?? 0
  }
}

/** What was stored of as many texts; undefined where it is missing or damaged. */
const stored = (path: string, count: number): Effect.Effect<ReadonlyArray<Judged> | undefined> =>
  Effect.promise(() =>
    readFile(path, "utf8").then((text) => {
      const judged = JSON.parse(text) as ReadonlyArray<Judged>
      const isWhole = judged.length === count && judged.every(({ entropy, surprisal, tokens }) => [entropy, tokens, ...masks.flatMap((mask) => Object.values(surprisal[mask]))].every(Number.isFinite))
      return isWhole ? judged : undefined
    }).catch(() => undefined))

type Seen = (count: number) => Effect.Effect<void>

const judge = (written: ReadonlyArray<string>, seen?: Seen) =>
  Effect.flatMap(Scorer, (scorer) => written.length === 0 ? Effect.succeed([]) : scorer.judge(written, seen))

/** {@link judge}, kept in `folder`. */
const judgeOnce = Effect.fnUntraced(function*(written: ReadonlyArray<string>, folder: string, seen: Seen) {
  const { identity } = yield* Scorer
  const path = join(folder, "scores", `${digest([identity, written]).slice(0, 16)}.json`)
  const known = yield* stored(path, written.length)
  if (known !== undefined) return yield* Effect.as(seen(known.length), known)
  const judged = yield* judge(written, seen)
  yield* writeAtomically(path, (error: DiskError) => error, ({ append }) => append(Buffer.from(JSON.stringify(judged))))
  return judged
})

/**
 * Perplexity and entropy of texts; those without a word are left out. What was judged once is kept in `folder`, since a
 * large scorer takes its time. `seen` is told how many texts more are through.
 */
export const generativeFigures = Effect.fnUntraced(function*(texts: ReadonlyArray<string>, mask: Mask, folder: string, seen: Seen) {
  const written = texts.filter((text) => !isBlank(text))
  return summed(yield* judgeOnce(written, folder, seen), texts.length - written.length, mask)
})

/** {@link generativeFigures} of texts that anyone wrote; nothing is kept. */
export const scoreTexts = Effect.fnUntraced(function*(texts: ReadonlyArray<string>, mask: Mask) {
  const written = texts.filter((text) => !isBlank(text))
  return summed(yield* judge(written), texts.length - written.length, mask)
})

/** BLEU, ROUGE and entropy of answers; empty ones count. */
export const conditionalFigures = Effect.fnUntraced(function*(texts: ReadonlyArray<string>, references: ReadonlyArray<string>) {
  const { encodeBatch } = yield* Tokenizer
  const written = texts.filter((text) => !isBlank(text))
  return {
    bleu: Bleu.corpus(texts, references, { lowercase: true }).bleu,
    bleuCased: Bleu.corpus(texts, references).bleu,
    ...Rouge.corpus(texts, references),
    entropy: finite(Entropy.mean(yield* encodeBatch(written))),
    texts: texts.length,
    empty: texts.length - written.length
  } satisfies ConditionalFigures
})
