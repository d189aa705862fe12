/** `metrics.json`: BLEU, ROUGE, entropy and perplexity of recorded texts, each pair and the whole. */
import { Effect } from "effect"
import { Bleu, Entropy, Perplexity, Rouge } from "../../../src/metrics/index.ts"
import type { Comparison, Finding, RunCase } from "../Finding.ts"

type RougeName = "rouge1" | "rouge2" | "rougeL"
const rougeNames: ReadonlyArray<RougeName> = ["rouge1", "rouge2", "rougeL"]

/** What sacrebleu (lower case), rouge_score and the reference's own metrics say. */
export interface RecordedMetrics {
  readonly bleu: Readonly<Record<"corpus" | "bp" | "corpus_first24" | "corpus_last40", number>> & {
    readonly counts: ReadonlyArray<number>
    readonly totals: ReadonlyArray<number>
    readonly precisions: ReadonlyArray<number>
  }
  readonly rouge: { readonly means: Readonly<Record<RougeName, number>> }
  readonly rouge_tokens: ReadonlyArray<{ readonly text: string; readonly tokens: ReadonlyArray<string> }>
  readonly pairs: ReadonlyArray<{ readonly hyp: string; readonly ref: string; readonly sentence_bleu: number } & Readonly<Record<RougeName, { readonly f: number }>>>
  readonly entropy: ReadonlyArray<{ readonly tokens: ReadonlyArray<number>; readonly entropy: number }>
  readonly ppl: { readonly eos: number; readonly ids: Array<Array<number>>; readonly nll: Array<Array<number>>; readonly valid: Array<Array<number>>; readonly ppl: number }
}

const one = (array: string, quantity: Comparison["quantity"], actual: number, expected: number): Comparison => ({ array, quantity, actual: [actual], expected: [expected] })

const lower = { lowercase: true }

const bleuFindings = ({ bleu, pairs }: RecordedMetrics): ReadonlyArray<Finding> => {
  const score = (some: RecordedMetrics["pairs"]) => Bleu.corpus(some.map(({ hyp }) => hyp), some.map(({ ref }) => ref), lower)
  const whole = score(pairs)
  return [
    one("bleu.corpus", "textMetric", whole.bleu, bleu.corpus),
    one("bleu.bp", "textMetric", whole.brevityPenalty, bleu.bp),
    one("bleu.corpus_first24", "textMetric", score(pairs.slice(0, 24)).bleu, bleu.corpus_first24),
    one("bleu.corpus_last40", "textMetric", score(pairs.slice(-40)).bleu, bleu.corpus_last40),
    { array: "bleu.counts", quantity: "exact", actual: whole.matches, expected: bleu.counts },
    { array: "bleu.totals", quantity: "exact", actual: whole.totals, expected: bleu.totals },
    { array: "bleu.precisions", quantity: "textMetric", actual: whole.precisions, expected: bleu.precisions },
    { array: "pairs.sentence_bleu", quantity: "textMetric", actual: pairs.map((pair) => score([pair]).bleu), expected: pairs.map(({ sentence_bleu }) => sentence_bleu) }
  ]
}

const rougeFindings = ({ pairs, rouge, rouge_tokens }: RecordedMetrics): ReadonlyArray<Finding> => {
  const scores = pairs.map(({ hyp, ref }) => Rouge.pair(hyp, ref))
  const mean = Rouge.corpus(pairs.map(({ hyp }) => hyp), pairs.map(({ ref }) => ref))
  const same = rouge_tokens.map(({ text, tokens }) => Number(JSON.stringify(Rouge.tokens(text)) === JSON.stringify(tokens)))
  return [
    { array: "rouge_tokens", quantity: "exact", actual: same, expected: same.map(() => 1) },
    ...rougeNames.flatMap((name): ReadonlyArray<Finding> => [
      { array: `pairs.${name}`, quantity: "textMetric", actual: scores.map((score) => score[name]), expected: pairs.map((pair) => 100 * pair[name].f) },
      one(`rouge.means.${name}`, "textMetric", mean[name], rouge.means[name])
    ])
  ]
}

const languageModelFindings = ({ entropy, ppl }: RecordedMetrics): ReadonlyArray<Finding> => {
  const weights = ppl.ids.map((ids) => Perplexity.tokenWeights(ids, ppl.eos))
  const found = Perplexity.perplexity(weights.map((row, i) => Perplexity.surprisal(ppl.nll[i]!, row)))
  return [
    { array: "entropy", quantity: "entropy", actual: entropy.map(({ tokens }) => Entropy.unigram(tokens)), expected: entropy.map(({ entropy }) => entropy) },
    { array: "ppl.valid", quantity: "exact", actual: weights.flatMap((row) => Array.from(row)), expected: ppl.valid.flat() },
    one("ppl.ppl", "entropy", found, ppl.ppl)
  ]
}

/** What this library makes of recorded texts, beside what was recorded. */
export const metricFindings = (recorded: RecordedMetrics): ReadonlyArray<Finding> => [
  ...bleuFindings(recorded),
  ...rougeFindings(recorded),
  ...languageModelFindings(recorded),
  { array: "mean_std_sem, rouge.stds", why: "deviations over texts: reports here give those over seeds" }
]

/** All of `metrics.json`. */
export const metricsCase: RunCase = (directory) => Effect.sync(() => metricFindings(directory.metrics<RecordedMetrics>()))
