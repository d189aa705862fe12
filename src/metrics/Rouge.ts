/**
 * ROUGE-1, ROUGE-2 and ROUGE-L of pairs, equal to `rouge_score` with its stemmer on; of a corpus, the mean over its pairs.
 *
 * @source `rouge_score`, `rouge_scorer.py`, `tokenize.py`; ELF `src/utils/metrics_utils.py`, `compute_rouge`
 * @since 0.1.0
 */
import { requireArgument } from "../flow/errors.ts"
import { commonLength } from "./longestCommonSubsequence.ts"
import { countNgrams, overlap } from "./ngrams.ts"
import { porterStem } from "./porterStem.ts"

/** The three measures of one pair, each an F1, in percent. */
export interface RougeScore {
  /** Words in common. */
  readonly rouge1: number
  /** Pairs of neighbouring words in common. */
  readonly rouge2: number
  /** Words of the longest common subsequence of the whole texts: not its sum over sentences, ROUGE-Lsum. */
  readonly rougeL: number
}

/** Runs of `a` to `z` and digits in lower case; those of more than three letters are stemmed. */
export const tokens = (text: string): ReadonlyArray<string> =>
  Array.from(text.toLowerCase().matchAll(/[a-z0-9]+/g), ([word]) => word.length > 3 ? porterStem(word) : word)

/** F1 in percent of `common` things among those of either side. */
const f1 = (common: number, inHypothesis: number, inReference: number): number => {
  if (common === 0) return 0
  const precision = common / inHypothesis
  const recall = common / inReference
  return 100 * (2 * precision * recall / (precision + recall))
}

const ngramScore = (hypothesis: ReadonlyArray<string>, reference: ReadonlyArray<string>, order: number): number =>
  f1(overlap(countNgrams(reference, order), countNgrams(hypothesis, order)), hypothesis.length - order + 1, reference.length - order + 1)

/** The measures of one hypothesis against its reference; 0 where either has no word. */
export const pair = (hypothesis: string, reference: string): RougeScore => {
  const [found, wanted] = [tokens(hypothesis), tokens(reference)]
  return {
    rouge1: ngramScore(found, wanted, 1),
    rouge2: ngramScore(found, wanted, 2),
    rougeL: f1(commonLength(wanted, found), found.length, wanted.length)
  }
}

/** The mean measures of hypotheses against references, one for each; there must be as many of both, and at least one. */
export const corpus = (hypotheses: ReadonlyArray<string>, references: ReadonlyArray<string>): RougeScore => {
  requireArgument(hypotheses.length > 0, "Rouge.corpus.hypotheses", "at least one text", hypotheses.length)
  requireArgument(hypotheses.length === references.length, "Rouge.corpus.references", `${hypotheses.length} texts, as many as hypotheses`, references.length)
  const sum = { rouge1: 0, rouge2: 0, rougeL: 0 }
  hypotheses.forEach((hypothesis, i) => {
    const score = pair(hypothesis, references[i]!)
    for (const name of ["rouge1", "rouge2", "rougeL"] as const) sum[name] += score[name]
  })
  const count = hypotheses.length
  return { rouge1: sum.rouge1 / count, rouge2: sum.rouge2 / count, rougeL: sum.rougeL / count }
}
