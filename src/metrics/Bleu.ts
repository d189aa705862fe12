/**
 * BLEU of a corpus against one reference for each segment, equal to `sacrebleu` 2: tokenizer 13a, exponential smoothing,
 * effective order.
 *
 * @source `sacrebleu`, `metrics/bleu.py`; ELF `src/utils/metrics_utils.py`, `compute_bleu`
 * @since 0.1.0
 */
import { requireArgument } from "../flow/errors.ts"
import { countNgrams, overlap } from "./ngrams.ts"
import { tokenize13a } from "./tokenize13a.ts"

const maximumOrder = 4
const orders = Array.from({ length: maximumOrder }, (_, index) => index + 1)

/** How segments are compared. */
export interface BleuOptions {
  /** Lower case on both sides; the reference's protocol for translation sets it. Default false. */
  readonly lowercase?: boolean
}

/** What BLEU is computed from; the statistics of two corpora add up to those of both. */
export interface BleuStatistics {
  /** Hypothesis n-grams of order 1, 2, 3, 4 that the reference has too. */
  readonly matches: ReadonlyArray<number>
  /** Hypothesis n-grams of order 1, 2, 3, 4. */
  readonly totals: ReadonlyArray<number>
  /** Tokens of the hypotheses. */
  readonly hypothesisLength: number
  /** Tokens of the references. */
  readonly referenceLength: number
}

/** BLEU and its parts, in percent except for the penalty. */
export interface BleuScore extends BleuStatistics {
  /** In [0, 100]. */
  readonly bleu: number
  /** Precision of each order, smoothed where nothing matches. */
  readonly precisions: ReadonlyArray<number>
  /** In [0, 1]: below 1 where the hypotheses are shorter than their references. */
  readonly brevityPenalty: number
}

/** The statistics of one segment. */
export const segmentStatistics = (hypothesis: string, reference: string, { lowercase = false }: BleuOptions = {}): BleuStatistics => {
  const [found, wanted] = [hypothesis, reference].map((text) => tokenize13a(lowercase ? text.toLowerCase() : text)) as [ReadonlyArray<string>, ReadonlyArray<string>]
  return {
    matches: orders.map((order) => overlap(countNgrams(found, order), countNgrams(wanted, order))),
    totals: orders.map((order) => Math.max(0, found.length - order + 1)),
    hypothesisLength: found.length,
    referenceLength: wanted.length
  }
}

const add = (a: BleuStatistics, b: BleuStatistics): BleuStatistics => ({
  matches: a.matches.map((count, i) => count + b.matches[i]!),
  totals: a.totals.map((count, i) => count + b.totals[i]!),
  hypothesisLength: a.hypothesisLength + b.hypothesisLength,
  referenceLength: a.referenceLength + b.referenceLength
})

const nothing: BleuStatistics = { matches: orders.map(() => 0), totals: orders.map(() => 0), hypothesisLength: 0, referenceLength: 0 }

const brevityPenaltyOf = ({ hypothesisLength, referenceLength }: BleuStatistics): number => {
  if (hypothesisLength >= referenceLength) return 1
  return hypothesisLength === 0 ? 0 : Math.exp(1 - referenceLength / hypothesisLength)
}

/** The score of `statistics`. Orders without any n-gram do not count; an order without a match counts half of the last such. */
export const fromStatistics = (statistics: BleuStatistics): BleuScore => {
  const { matches, totals } = statistics
  const brevityPenalty = brevityPenaltyOf(statistics)
  const precisions = orders.map(() => 0)
  if (matches.every((count) => count === 0)) return { ...statistics, bleu: 0, precisions, brevityPenalty }
  const effectiveOrder = totals.includes(0) ? totals.indexOf(0) : maximumOrder
  let smoothing = 1
  let logarithms = 0
  for (let i = 0; i < effectiveOrder; i++) {
    if (matches[i] === 0) smoothing *= 2
    precisions[i] = 100 * (matches[i] === 0 ? 1 / smoothing : matches[i]!) / totals[i]!
    logarithms += Math.log(precisions[i]!)
  }
  return { ...statistics, bleu: brevityPenalty * Math.exp(logarithms / effectiveOrder), precisions, brevityPenalty }
}

/** BLEU of hypotheses against references, one for each; there must be as many of both. */
export const corpus = (hypotheses: ReadonlyArray<string>, references: ReadonlyArray<string>, options: BleuOptions = {}): BleuScore => {
  requireArgument(hypotheses.length === references.length, "Bleu.corpus.references", `${hypotheses.length} segments, as many as hypotheses`, references.length)
  let sum = nothing
  hypotheses.forEach((hypothesis, i) => (sum = add(sum, segmentStatistics(hypothesis, references[i]!, options))))
  return fromStatistics(sum)
}
